/** Pipelines in Node: from a folder, a file or a downloaded model, on ONNX Runtime. */

import type { Components } from '../../components/components.ts';
import type { ModelFiles } from '../../components/model-files.ts';
import { EMBEDDED_MODEL } from '../../components/node/embedded-models.ts';
import { openLoras } from '../../components/node/open-lora.ts';
import {
  type OpenModelOptions,
  openAutoencoder,
  openModel,
  withOtherParts,
} from '../../components/node/open-model.ts';
import { createNodeEngine, type NodeEngineOptions } from '../../engines/onnxruntime-node/engine.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { adaptedComponents, type Pipeline, type PipelineOptions, pipelineOf } from '../pipeline.ts';
import { drawnWith } from './drawn-with.ts';
import { machineMemory } from './machine-memory.ts';

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
  const own = await openModel(path, { ...options, unet: undefined, vae: undefined });
  const files = await withOtherParts(own, options);
  const loras = await openLoras(options.loras ?? []);
  const components = await adaptedComponents(files, loras);
  const named = { name: path, options, own, components, loras };
  return startPipeline({ files, components }, { ...options, loras, drawnWith: () => drawnWith(named) });
}

/** A model of which only configurations and headers were read. */
export interface OpenedModel {
  readonly files: ModelFiles;
  /** `adaptedComponents` of the files. */
  readonly components: Components;
}

export interface StartOptions
  extends Omit<LoadOptions, keyof OpenModelOptions | 'loras'>,
    Pick<PipelineOptions, 'loras' | 'drawnWith'> {}

/** The second half of `loadPipeline`: the same options for a model that is open already, with the same LoRAs. */
export async function startPipeline(
  { files, components }: OpenedModel,
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
