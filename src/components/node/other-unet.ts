/** UNets of this machine, by their paths or names on the hub, in models that are not their own. */
import { basename, dirname } from 'node:path';
import { InputError } from '../../errors.ts';
import { folderFiles } from '../../files/node/folder.ts';
import { pathKind } from '../../files/node/path-kind.ts';
import { localPath } from '../../hub/node/cache.ts';
import type { ModelFiles } from '../model-files.ts';
import { type OtherUNet, UNET_CLASS, unetIn, unetInFile, withUNet } from '../other-unet.ts';
import { libraryOf, type StoredModel } from './stored-model.ts';

/**
 * The model with the UNet `name` in place of its own: a folder with one, a file, a diffusers directory or a checkpoint
 * (their UNet is taken, with their scheduler), or by its name on the hub one that was downloaded before. Throws
 * InputError when there is no such UNet.
 */
export async function withStoredUNet(files: StoredModel, name: string): Promise<StoredModel> {
  const model = await withUNet(files, await openUNet(name, files));
  const scheduler = model.classes.get('scheduler')!;
  return {
    ...files,
    ...model,
    isCombined: true,
    libraries: new Map([
      ...files.libraries,
      ['unet', libraryOf(UNET_CLASS)],
      ['scheduler', libraryOf(scheduler)],
    ]),
    about: async () => {
      // What was measured with the model's own UNet.
      const { 'evaluation.md': _, ...texts } = await files.about();
      return texts;
    },
  };
}

async function openUNet(name: string, model: ModelFiles): Promise<OtherUNet> {
  const path = await localPath(name);
  const kind = await pathKind(path);
  if (kind === undefined)
    throw new InputError(`UNet ${path}: there is no such file or folder`, { path, code: 'not-found' });
  return kind === 'file'
    ? unetInFile(folderFiles(dirname(path)), basename(path), model)
    : unetIn(folderFiles(path), model);
}
