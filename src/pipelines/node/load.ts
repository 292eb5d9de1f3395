/** Pipelines in Node: from a folder, a file or a downloaded model, on ONNX Runtime. */

import { EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { type OpenModelOptions, openAutoencoder } from '../../components/node/open-model.ts';
import { createEngine, type EngineOptions, isOnProcessor } from '../../engines/create-engine.ts';
import { InputError } from '../../errors.ts';
import { isOnHubAlone } from '../../hub/node/cache.ts';
import { pullModel } from '../../hub/node/pull.ts';
import type { WeightsProgress } from '../../networks/runner.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import { parseLoraReference } from '../../weights/lora-reference.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { type Pipeline, type PipelineOptions, pipelineOf } from '../pipeline.ts';
import { machineMemory } from './machine-memory.ts';
import { type OpenedModel, openForDrawing } from './opened-model.ts';

/** How a pipeline is loaded: the engine, other parts of the model, LoRAs, and memory. */
export interface LoadOptions
  extends EngineOptions,
    OpenModelOptions,
    Omit<
      PipelineOptions,
      'previewVae' | 'replicas' | 'loras' | 'drawnWith' | 'name' | 'writeFile' | 'onWeights'
    > {
  /**
   * Downloads what is named as on the hub (`owner/name`) and not on this machine yet: the model, other parts of it,
   * LoRAs. Default: nothing is downloaded, and a model that is not there is an InputError, `not-downloaded`.
   */
  readonly download?: boolean | undefined;
  /** Hears how far a download is, and later, when the first picture needs them, the reading of weights. */
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined;
  /** Ends the download and the loading. What has arrived is kept; drawings have signals of their own. */
  readonly signal?: AbortSignal | undefined;
  /**
   * LoRAs, applied in this order: names as for `openLora`, with a strength after a colon if that is not 1
   * (`style.safetensors:0.8`), or what that gave.
   */
  readonly loras?: readonly (string | AppliedLora)[] | undefined;
  /**
   * Engines of one thread each that share the work on batches: for small models on a processor, one per core draws a
   * sixth more pictures per second. Each holds the weights for itself. Default, and with 1: nothing is shared.
   */
  readonly replicas?: number | undefined;
  /** A small autoencoder for the same latents, such as TAESD, by which steps are previewed: a folder or a file. */
  readonly previewVae?: string | undefined;
}

/** How far the loading of a model is, in bytes. */
export type LoadProgress =
  | {
      readonly stage: 'download';
      /** On the hub: `owner/name`. */
      readonly name: string;
      /** Of all files of it, in the cache and not. */
      readonly done: number;
      readonly total: number;
    }
  | ({ readonly stage: 'weights' } & WeightsProgress);

/**
 * Loads a diffusers directory, a single-file checkpoint, or a model of the hub that was downloaded before; without a
 * path the model of little landscapes that comes with the package.
 * Configurations are read and checked, and the headers of the weights; the weights themselves when they are first
 * needed, of which `onProgress` tells. With `download` a model of the hub that is not here yet is downloaded first. On
 * the processor the memory is limited to that of the machine, unless `memoryLimit` says otherwise. Throws InputError for
 * what is missing or damaged; rejects with the signal's reason.
 */
export async function loadPipeline(
  path: string = EMBEDDED_MODEL,
  options: LoadOptions = {},
): Promise<Pipeline> {
  const { download, signal, onProgress } = options;
  signal?.throwIfAborted();
  if (download) await downloadMissing(namesIn(path, options), { signal, onProgress });
  const opened = await openForDrawing(path, options, options.loras).catch((error: unknown) => {
    throw download ? error : withWayToDownload(error);
  });
  signal?.throwIfAborted();
  return startPipeline(opened, { ...options, loras: opened.loras, drawnWith: opened.drawnWith });
}

/** How a pipeline of an open model is started. */
export interface StartOptions
  extends Omit<LoadOptions, keyof OpenModelOptions | 'loras' | 'download' | 'signal'>,
    Pick<PipelineOptions, 'loras' | 'drawnWith'> {}

/**
 * The second half of `loadPipeline`: the same options for a model that is open already, with the same LoRAs.
 *
 * @internal
 */
export async function startPipeline(
  { name, files, components }: Pick<OpenedModel, 'files' | 'components'> & Partial<Pick<OpenedModel, 'name'>>,
  options: StartOptions,
): Promise<Pipeline> {
  const previewVae =
    options.previewVae === undefined ? undefined : await openAutoencoder(options.previewVae, files);
  // What a graphics processor has, nobody tells us.
  const machine = isOnProcessor(options.device ?? 'cpu') ? machineMemory() : undefined;
  const engine = createEngine(options);
  const { replicas: count = 1, onProgress } = options;
  const replicas = Array.from({ length: count > 1 ? count : 0 }, () =>
    createEngine({ ...options, threads: 1 }),
  );
  try {
    return pipelineOf(components, engine, {
      ...options,
      replicas,
      name,
      previewVae,
      onWeights: onProgress && ((progress) => onProgress({ stage: 'weights', ...progress })),
      writeFile: (path, bytes) => writeFileAtomically(path, [bytes]),
      memoryLimit: options.memoryLimit ?? machine,
    });
  } catch (error) {
    await Promise.all([engine, ...replicas].map((each) => each.dispose()));
    throw error;
  }
}

/** All that the options name and that may be on the hub. */
function namesIn(
  path: string,
  { unet, vae, previewVae, tokenizer, config, loras = [] }: LoadOptions,
): string[] {
  const adapters = loras.flatMap((lora) => (typeof lora === 'string' ? [parseLoraReference(lora).path] : []));
  return [path, unet, vae, previewVae, tokenizer, config, ...adapters].filter((name) => name !== undefined);
}

async function downloadMissing(
  names: readonly string[],
  { signal, onProgress }: Pick<LoadOptions, 'signal' | 'onProgress'>,
): Promise<void> {
  for (const name of names) {
    if (!(await isOnHubAlone(name))) continue;
    await pullModel(name, {
      signal,
      onProgress: ({ received, size }) =>
        onProgress?.({ stage: 'download', name, done: received, total: size }),
    });
  }
}

/** Says how whoever writes a program gets a model that is not here. */
function withWayToDownload(error: unknown): unknown {
  if (!(error instanceof InputError) || error.code !== 'not-downloaded') return error;
  const { message, path, code } = error;
  return new InputError(`${message}, or load it with { download: true }`, { cause: error, path, code });
}
