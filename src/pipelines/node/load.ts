/** Pipelines in Node: from a folder, a file or a downloaded model, on ONNX Runtime. */

import { EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { type OpenModelOptions, openAutoencoder } from '../../components/node/open-model.ts';
import { createNodeEngine, type NodeEngineOptions } from '../../engines/onnxruntime-node/engine.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { type Pipeline, type PipelineOptions, pipelineOf } from '../pipeline.ts';
import { machineMemory } from './machine-memory.ts';
import { type OpenedModel, openForDrawing } from './opened-model.ts';

/** How a pipeline is loaded: the engine, other parts of the model, LoRAs, and memory. */
export interface LoadOptions
  extends NodeEngineOptions,
    OpenModelOptions,
    Omit<PipelineOptions, 'previewVae' | 'replicas' | 'loras' | 'drawnWith' | 'writeFile'> {
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

/**
 * Loads a diffusers directory, a single-file checkpoint, or a model of the hub that was downloaded before; without a
 * path the model of little landscapes that comes with the package.
 * Configurations are read and checked, and the headers of the weights; the weights themselves when they are first
 * needed. On the processor the memory is limited to that of the machine, unless `memoryLimit` says otherwise. Throws
 * InputError for what is missing or damaged.
 */
export async function loadPipeline(
  path: string = EMBEDDED_MODEL,
  options: LoadOptions = {},
): Promise<Pipeline> {
  const opened = await openForDrawing(path, options, options.loras);
  return startPipeline(opened, { ...options, loras: opened.loras, drawnWith: opened.drawnWith });
}

export interface StartOptions
  extends Omit<LoadOptions, keyof OpenModelOptions | 'loras'>,
    Pick<PipelineOptions, 'loras' | 'drawnWith'> {}

/** The second half of `loadPipeline`: the same options for a model that is open already, with the same LoRAs. */
export async function startPipeline(
  { files, components }: Pick<OpenedModel, 'files' | 'components'>,
  options: StartOptions,
): Promise<Pipeline> {
  const previewVae =
    options.previewVae === undefined ? undefined : await openAutoencoder(options.previewVae, files);
  // What a graphics processor has, nobody tells us.
  const machine = (options.device ?? 'cpu') === 'cpu' ? machineMemory() : undefined;
  const engine = createNodeEngine(options);
  const { replicas: count = 1 } = options;
  const replicas = Array.from({ length: count > 1 ? count : 0 }, () =>
    createNodeEngine({ ...options, threads: 1 }),
  );
  try {
    return pipelineOf(components, engine, {
      ...options,
      replicas,
      previewVae,
      writeFile: (path, bytes) => writeFileAtomically(path, [bytes]),
      memoryLimit: options.memoryLimit ?? machine,
    });
  } catch (error) {
    await Promise.all([engine, ...replicas].map((each) => each.dispose()));
    throw error;
  }
}
