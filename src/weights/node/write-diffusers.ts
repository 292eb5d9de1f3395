/** Writing a diffusers directory, which diffusers and transformers load as their own. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { formatJson } from '../../files/format-json.ts';
import type { JsonObject } from '../../files/json.ts';
import { spelledLike } from '../../files/number-spelling.ts';
import { requirePathPart } from '../../files/path-part.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { convertTensor, type StorageDType } from '../convert.ts';
import type { DiffusersComponent } from '../diffusers-directory.ts';
import { syncDirectory, writeDirectoryAtomically, writeDurably } from './atomic-write.ts';
import { writeSafetensors } from './safetensors-file.ts';

/** The version whose layout is written; some of diffusers' loaders look at it. */
const DIFFUSERS_VERSION = '0.42.1';

/**
 * Fields that are floats: those of which transformers 5 refuses an integer, and those of diffusers' that are written here
 * without having been read.
 */
const FLOATS: ReadonlySet<string> = new Set([
  ...['initializer_factor', 'initializer_range', 'layer_norm_eps'],
  ...['norm_eps', 'scaling_factor', 'shift_factor'],
  ...['beta_start', 'beta_end', 'trained_betas', 'timestep_scaling'],
]);

type Tensors = ReadonlyMap<string, HostTensor>;

export interface ModelToWrite extends DiffusersComponent {
  readonly config: JsonObject;
  /** By current parameter name; or a function that reads them, called when they are to be written. */
  readonly tensors: Tensors | (() => Promise<Tensors>);
}

export interface SchedulerToWrite extends DiffusersComponent {
  readonly schedulerConfig: JsonObject;
}

export interface TokenizerToWrite extends DiffusersComponent {
  /** Texts, or bytes as they are, by file name, e.g. `vocab.json`. */
  readonly files: Readonly<Record<string, string | Uint8Array>>;
}

export type ComponentToWrite = ModelToWrite | SchedulerToWrite | TokenizerToWrite;

export interface DiffusersDirectoryToWrite {
  readonly pipelineClass: string;
  /** By folder name; null for a part of the pipeline's class that is left out, such as the safety checker. */
  readonly components: Readonly<Record<string, ComponentToWrite | null>>;
  /** Further entries of model_index.json. */
  readonly options?: JsonObject;
}

export interface WriteDiffusersOptions {
  readonly dtype?: StorageDType;
  readonly replace?: boolean;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes `path` atomically, floating-point weights as `dtype` (default float32). An existing folder is replaced
 * when `replace` is set; otherwise, and when the disk is full, it is an InputError and nothing changes. `signal` ends
 * the work between two components, and nothing changes.
 */
export async function writeDiffusersDirectory(
  path: string,
  contents: DiffusersDirectoryToWrite,
  { dtype = 'float32', replace = false, signal }: WriteDiffusersOptions = {},
): Promise<void> {
  await writeDirectoryAtomically(
    path,
    async (partial) => {
      const { pipelineClass, options = {} } = contents;
      const index: Record<string, unknown> = spelledLike(
        { ...diffusersFields(pipelineClass), ...options },
        options,
      );
      for (const [name, component] of Object.entries(contents.components)) {
        signal?.throwIfAborted();
        requirePathPart(name, `a part of ${pipelineClass}`);
        index[name] = component ? [component.library, component.className] : [null, null];
        if (component) await writeComponent(join(partial, name), component, dtype);
      }
      await writeJson(partial, 'model_index.json', index);
    },
    { replace },
  );
}

/** Writes the folder of one model atomically: config.json and its weights as `dtype`. */
export async function writeModelFolder(
  path: string,
  model: ModelToWrite,
  { dtype = 'float32', replace = false }: { dtype?: StorageDType; replace?: boolean } = {},
): Promise<void> {
  await writeDirectoryAtomically(path, (partial) => writeModel(partial, model, dtype), { replace });
}

async function writeComponent(
  folder: string,
  component: ComponentToWrite,
  dtype: StorageDType,
): Promise<void> {
  await mkdir(folder);
  if ('tensors' in component) {
    await writeModel(folder, component, dtype);
  } else if ('schedulerConfig' in component) {
    const { className, schedulerConfig } = component;
    const fields = { ...diffusersFields(className), ...schedulerConfig };
    await writeJson(folder, 'scheduler_config.json', spelledLike(fields, schedulerConfig));
  } else {
    for (const [name, content] of Object.entries(component.files)) {
      const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content;
      await writeDurably(join(folder, requirePathPart(name, `a file of ${component.className}`)), [bytes]);
    }
  }
  await syncDirectory(folder);
}

async function writeModel(folder: string, model: ModelToWrite, dtype: StorageDType): Promise<void> {
  const { library, className, config } = model;
  const fields = library === 'diffusers' ? diffusersFields(className) : { architectures: [className] };
  await writeJson(folder, 'config.json', spelledLike({ ...config, ...fields }, config));
  const stored = typeof model.tensors === 'function' ? await model.tensors() : model.tensors;
  const tensors = new Map([...stored].map(([name, tensor]) => [name, convertTensor(tensor, dtype)]));
  const file = library === 'diffusers' ? 'diffusion_pytorch_model.safetensors' : 'model.safetensors';
  // transformers refuses files whose metadata do not name the framework.
  await writeSafetensors(join(folder, file), tensors, { format: 'pt' });
}

function diffusersFields(className: string): JsonObject {
  return { _class_name: className, _diffusers_version: DIFFUSERS_VERSION };
}

async function writeJson(folder: string, name: string, value: JsonObject): Promise<void> {
  await writeDurably(join(folder, name), [formatJson(value, { floats: FLOATS })]);
}
