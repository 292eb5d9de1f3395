/** Models in folders of this machine, by their paths. */
import { folderFiles } from '../../files/node/folder.ts';
import { type ModelFolder, type ModelFolderOptions, modelFolderOf } from '../model-folder.ts';

/** Reads the config and the headers of the weights. Throws InputError when something is missing or damaged. */
export async function openModelFolder(path: string, options: ModelFolderOptions = {}): Promise<ModelFolder> {
  return modelFolderOf(folderFiles(path), options);
}
