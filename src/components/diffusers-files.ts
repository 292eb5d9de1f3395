/** The files of a model that lies in a diffusers directory, wherever that is. */
import { type Files, textIn } from '../files/files.ts';
import {
  type DiffusersDirectory,
  diffusersDirectoryOf,
  openComponent,
} from '../weights/diffusers-directory.ts';
import type { ModelFiles, StoredNetwork } from './model-files.ts';

/** Reads model_index.json, and each network when it is first asked for. Throws InputError when there is none. */
export async function modelFilesIn(files: Files): Promise<ModelFiles> {
  return modelFilesOf(await diffusersDirectoryOf(files));
}

/** The same of a directory that is open already. */
export function modelFilesOf(directory: DiffusersDirectory): ModelFiles {
  const { files } = directory;
  const networks = new Map<string, Promise<StoredNetwork>>();
  const open = async (component: string): Promise<StoredNetwork> => {
    const { path: location, config, weights } = await openComponent(directory, component);
    return { location, config, weights };
  };
  return {
    location: files.location,
    pipelineClass: directory.pipelineClass,
    classes: new Map([...directory.components].map(([name, { className }]) => [name, className])),
    options: directory.options,
    async network(component) {
      const opened = networks.get(component) ?? open(component);
      networks.set(component, opened);
      return opened;
    },
    text: (path) => textIn(files, path),
  };
}
