/// <reference lib="esnext.disposable" preserve="true" />
/** A model that is ready to draw: its parts, its networks and the engine they run on. */

import {
  type Components,
  loadComponents,
  pictureSize,
  previewAutoencoder,
} from '../components/components.ts';
import type { ModelFiles, StoredAutoencoder } from '../components/model-files.ts';
import type { SchedulerName } from '../components/scheduler.ts';
import type { Size } from '../components/size.ts';
import type { Engine } from '../engines/engine.ts';
import { elementCount } from '../graph/shape.ts';
import { Networks, type NetworksOptions } from '../networks/networks.ts';
import { VERSION } from '../version.ts';
import { type AppliedLora, requireComponents } from '../weights/lora.ts';
import { Drawing } from './drawing.ts';
import type { Generation, GenerationStep } from './generation.ts';
import { imageToImage } from './image-to-image.ts';
import { inpaint } from './inpaint.ts';
import { Picture } from './picture.ts';
import { type DrawnWith, type PictureSettings, pictureSettings } from './picture-text.ts';
import { type GenerationRequest, usualSettings } from './settings.ts';
import { textToImage } from './text-to-image.ts';

/** A model as far as it concerns those who draw with it. */
export interface PipelineInfo {
  /** As it was asked for: `postcards`, `owner/name`, a path. */
  readonly name: string;
  /** Where its files are: a path, or the address of a server. */
  readonly location: string;
  /** diffusers' class, such as `LatentConsistencyModelPipeline`. */
  readonly pipelineClass: string;
  /** Pixels of the pictures that it was made for; undefined where it does not say. */
  readonly size: Size | undefined;
  /** What sides of pictures are multiples of, in pixels. */
  readonly sizeStep: number;
  /** What a request gets that says nothing of them. The scheduler is undefined where the model's own cannot be used. */
  readonly scheduler: SchedulerName | undefined;
  readonly steps: number;
  readonly guidanceScale: number;
  /** Whether it draws in a few steps, as a latent consistency model or by an LCM-LoRA. */
  readonly isConsistency: boolean;
  /** Of all networks together, without LoRAs. */
  readonly parameters: number;
}

/**
 * A model that is ready to draw.
 *
 * ```ts
 * await using pipeline = await loadPipeline();
 * const { images } = await pipeline.generate({ prompt: 'a windmill in the snow' });
 * ```
 */
export interface Pipeline extends AsyncDisposable {
  /** @internal */
  readonly model: Components;
  /** What the model is, and draws where a request says nothing. */
  readonly info: PipelineInfo;
  /** The engine's name. */
  readonly engine: string;
  /**
   * Pictures of a request: awaited the result, iterated the steps, see `Drawing`. Text to image; with an image in the
   * request image to image, and with a mask too inpainting. Rejects with UsageError for a request that cannot be drawn,
   * before any weight is read, and with the signal's reason once that is aborted.
   */
  generate(request: GenerationRequest): Drawing;
  /**
   * Frees the networks and the engine. What is being drawn, or asked for later, is rejected with an AbortError; the
   * engine finishes the operator graph that it is at. `await using` calls it at the end of the block.
   */
  dispose(): Promise<void>;
}

/** What a pipeline is made with beside the model. */
export interface PipelineOptions extends NetworksOptions {
  /** A small autoencoder for the same latents, such as TAESD, by which steps are previewed. */
  readonly previewVae?: StoredAutoencoder | undefined;
  /**
   * What pictures are drawn with, for their settings; asked for when the first of them is written. Default: the model's
   * location; pictures that are drawn with LoRAs then carry no settings, which would not tell how to draw them again.
   */
  readonly drawnWith?: (() => Promise<DrawnWith | undefined>) | undefined;
  /** What `PipelineInfo` calls the model. Default: its location. */
  readonly name?: string | undefined;
  /** Writes a file whole or not at all, for `Picture.save`. Default: pictures cannot be saved. */
  readonly writeFile?: ((path: string, bytes: Uint8Array) => Promise<void>) | undefined;
}

/**
 * The parts of a model with what LoRAs make of it, no weights yet. Throws InputError for LoRAs that adapt networks which
 * it does not have.
 */
export async function adaptedComponents(
  files: ModelFiles,
  loras: readonly AppliedLora[],
): Promise<Components> {
  const model = withConsistency(await loadComponents(files), loras);
  requireComponents(
    loras,
    model.second ? ['unet', 'text_encoder', 'text_encoder_2'] : ['unet', 'text_encoder'],
  );
  return model;
}

/** Makes a pipeline of a model's files; the engine, and the replicas, then belong to it. */
export async function createPipeline(
  files: ModelFiles,
  engine: Engine,
  options: PipelineOptions = {},
): Promise<Pipeline> {
  return pipelineOf(await adaptedComponents(files, options.loras ?? []), engine, options);
}

/** The same of `adaptedComponents`, made with the LoRAs that the options name. */
export function pipelineOf(
  model: Components,
  engine: Engine,
  { previewVae, drawnWith, name = model.location, writeFile, ...options }: PipelineOptions,
): Pipeline {
  const networks = new Networks(model, engine, {
    ...options,
    previewVae: previewVae && previewAutoencoder(model, previewVae),
  });
  const steps = (request: GenerationRequest) => {
    // From JavaScript it may be anything: what is wrong with it is said where its settings are read.
    const { image, mask } = Object(request) as GenerationRequest;
    if (mask !== undefined) return inpaint(model, networks, { ...request, mask });
    if (image !== undefined) return imageToImage(model, networks, { ...request, image });
    return textToImage(model, networks, request);
  };
  const made = once(drawnWith ?? namedBy(model, options.loras ?? []));
  const { name: engineName, precision = 'float32' } = engine;
  const computed = { engine: engineName, ...(precision !== 'float32' && { precision }) };
  /** With pictures that know what they were drawn with. */
  async function* drawn(request: GenerationRequest): AsyncGenerator<GenerationStep, Generation> {
    const { images, settings, ...rest } = yield* steps(request);
    const { image, mask } = request;
    const settingsOf = async (index: number): Promise<PictureSettings | undefined> => {
      const known = settings.seeds.length === 0 ? undefined : await made();
      const quantized = options.quantize && { quantize: options.quantize };
      const sources = { image: image?.path, mask: mask?.path };
      return (
        known &&
        pictureSettings(settings, index, {
          ...known,
          ...sources,
          ...quantized,
          ...computed,
          version: VERSION,
        })
      );
    };
    const pictures = images.map(
      (image, i) => new Picture(image, { settings: () => settingsOf(i), writeFile }),
    );
    return { images: pictures, settings, ...rest };
  }

  const dispose = async () => {
    // At once, so that nothing is compiled any more.
    const reason = new DOMException('the pipeline was disposed of', 'AbortError');
    const engines = [engine, ...(options.replicas ?? [])];
    await Promise.all([networks.dispose(reason), ...engines.map((each) => each.dispose())]);
  };

  return {
    model,
    info: infoOf(model, name),
    engine: engine.name,
    generate: (request) => new Drawing(drawn(request)),
    dispose,
    [Symbol.asyncDispose]: dispose,
  };
}

/** With an LCM-LoRA the sampler's own defaults hold (4 steps, no guidance), not what the base was made for. */
function withConsistency(model: Components, loras: readonly AppliedLora[]): Components {
  const distilled = loras.some(({ lora, strength }) => lora.isConsistency && strength > 0);
  if (!distilled || model.unet.config.guidanceWidth !== undefined) return model;
  return { ...model, defaults: { scheduler: 'lcm' } };
}

function infoOf(model: Components, name: string): PipelineInfo {
  const { location, pipelineClass, vae, unet, textEncoder, second } = model;
  const scheduler = model.defaults.scheduler ?? model.scheduler.name;
  const networks = [unet, vae, textEncoder, ...(second ? [second.textEncoder] : [])];
  const shapes = networks.flatMap(({ weights }) => [...weights.values()].map(({ shape }) => shape));
  return {
    name,
    location,
    pipelineClass,
    size: pictureSize(model),
    sizeStep: vae.config.factor,
    scheduler,
    ...usualSettings(model, scheduler),
    parameters: shapes.reduce((sum, shape) => sum + elementCount(shape), 0),
  };
}

/** What is known of a model without asking: where it is, and, with LoRAs, not enough to draw the same again. */
function namedBy(model: Components, loras: readonly AppliedLora[]): () => Promise<DrawnWith | undefined> {
  return async () => (loras.length === 0 ? { model: model.location } : undefined);
}

function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    result ??= work();
    return result;
  };
}
