/** Reading a diffusers directory: model_index.json names the parts, each part is a folder. */
import { InputError } from '../errors.ts';
import { type Files, jsonObjectIn, nameOf, within } from '../files/files.ts';
import type { JsonObject } from '../files/json.ts';
import { spelledLike } from '../files/number-spelling.ts';
import { requirePathPart } from '../files/path-part.ts';
import { listed } from '../messages.ts';
import { type ModelFolder, type ModelFolderOptions, modelFolderOf } from './model-folder.ts';

export interface DiffusersComponent {
  /** `diffusers` or `transformers`. */
  readonly library: string;
  readonly className: string;
}

export interface DiffusersDirectory {
  readonly files: Files;
  /** E.g. `LatentConsistencyModelPipeline`. */
  readonly pipelineClass: string;
  /** By folder name, e.g. `unet`; parts that the pipeline was saved without are left out. */
  readonly components: ReadonlyMap<string, DiffusersComponent>;
  /** The other entries of model_index.json, e.g. `requires_safety_checker`. */
  readonly options: JsonObject;
}

const INDEX = 'model_index.json';

/** Reads model_index.json. Throws InputError when it is missing, is no index, or names a part that is no folder here. */
export async function diffusersDirectoryOf(files: Files): Promise<DiffusersDirectory> {
  const file = nameOf(files, INDEX);
  const index = await jsonObjectIn(files, INDEX);
  const { _class_name: pipelineClass, ...entries } = index;
  if (typeof pipelineClass !== 'string')
    throw new InputError(`${file} names no pipeline: it has no _class_name`, { path: file });
  const components = new Map<string, DiffusersComponent>();
  const options: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(entries)) {
    if (!Array.isArray(value) || value.length !== 2) {
      options[name] = value;
    } else if (typeof value[0] === 'string' && typeof value[1] === 'string') {
      requirePathPart(name, `a part of the model in ${file}`);
      components.set(name, { library: value[0], className: value[1] });
    }
  }
  return { files, pipelineClass, components, options: spelledLike(options, index) };
}

/** Opens the model in the folder `name`. Throws InputError when the directory has no such part. */
export async function openComponent(
  directory: DiffusersDirectory,
  name: string,
  options: Pick<ModelFolderOptions, 'variant'> = {},
): Promise<ModelFolder> {
  const { className } = componentOf(directory, name);
  return modelFolderOf(within(directory.files, name), { ...options, className });
}

function componentOf(directory: DiffusersDirectory, name: string): DiffusersComponent {
  const component = directory.components.get(name);
  if (component) return component;
  throw new InputError(
    `${nameOf(directory.files, INDEX)} names no ${name}; it has ${listed([...directory.components.keys()], 12)}`,
    { path: nameOf(directory.files, INDEX) },
  );
}
