/** The files of a model in a folder on this machine. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { openComponent, openDiffusersDirectory } from '../../weights/node/diffusers-directory.ts';
import type { ModelFiles, StoredNetwork } from '../model-files.ts';

/** Opens a diffusers directory, and each of its networks when it is first asked for. Throws InputError when there is none. */
export async function diffusersFiles(path: string): Promise<ModelFiles> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error || !found.isDirectory()) {
    const what = found instanceof Error ? 'there is no such folder' : 'it is a file';
    throw new InputError(
      `model ${path}: ${what}; expected a diffusers directory, that is a folder with a model_index.json`,
    );
  }
  const directory = await openDiffusersDirectory(path);
  const networks = new Map<string, Promise<StoredNetwork>>();
  const open = async (component: string): Promise<StoredNetwork> => {
    const { path: location, config, weights } = await openComponent(directory, component);
    return { location, config, weights };
  };
  return {
    location: path,
    pipelineClass: directory.pipelineClass,
    classes: new Map([...directory.components].map(([name, { className }]) => [name, className])),
    options: directory.options,
    async network(component) {
      const opened = networks.get(component) ?? open(component);
      networks.set(component, opened);
      return opened;
    },
    async text(name) {
      return readTextIfThere(join(path, name));
    },
  };
}
