/** The files of a model in a folder on this machine. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { modelFiles, partFiles } from '../../weights/node/copied-files.ts';
import { openDiffusersDirectory } from '../../weights/node/diffusers-directory.ts';
import { modelFilesOf } from '../diffusers-files.ts';
import type { StoredModel } from './stored-model.ts';

/** Opens a diffusers directory, and each of its networks when it is first asked for. Throws InputError when there is none. */
export async function diffusersFiles(path: string): Promise<StoredModel> {
  await requireFolder(path);
  const directory = await openDiffusersDirectory(path);
  return {
    ...modelFilesOf(directory),
    isCombined: false,
    libraries: new Map([...directory.components].map(([name, { library }]) => [name, library])),
    copies: (part) => partFiles(path, join(path, part)),
    about: () => modelFiles(path),
  };
}

/** Throws InputError for a path at which there is no folder, and says that a model was expected there. */
export async function requireFolder(path: string): Promise<void> {
  const found = await stat(path).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error) && found.isDirectory()) return;
  const what = found instanceof Error ? 'there is no such folder' : 'it is a file';
  throw new InputError(
    `model ${path}: ${what}; expected a diffusers directory, that is a folder with a model_index.json`,
    { path, code: found instanceof Error ? 'not-found' : 'invalid-input' },
  );
}
