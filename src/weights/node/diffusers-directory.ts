/** Diffusers directories of this machine, by their paths. */
import { folderFiles } from '../../files/node/folder.ts';
import { type DiffusersDirectory, diffusersDirectoryOf } from '../diffusers-directory.ts';

/** Reads model_index.json. Throws InputError when it is missing, is no index, or names a part that is no folder here. */
export async function openDiffusersDirectory(path: string): Promise<DiffusersDirectory> {
  return diffusersDirectoryOf(folderFiles(path));
}
