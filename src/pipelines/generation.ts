/**
 * What text-to-image, image-to-image and inpainting share: prompt → states; latents to begin with, in which they
 * differ; denoised latents → pictures.
 */

import { type Components, pictureSize } from '../components/components.ts';
import { createSampler, samplerConfig } from '../components/scheduler.ts';
import { type Sampler, startStep } from '../diffusion/samplers/sampler.ts';
import { located, mention, mentioning } from '../errors.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Image } from '../images/image.ts';
import { planMemory } from '../networks/memory-plan.ts';
import type { Networks } from '../networks/networks.ts';
import type { Generator } from '../random/generator.ts';
import { randnTensor } from '../random/randn-tensor.ts';
import { encodeConditioning, type Prompts, promptsOf } from './conditioning.ts';
import { decodePixels, imagesOf } from './decoding.ts';
import { type DenoiseInputs, denoise } from './denoise.ts';
import type { Picture } from './picture.ts';
import { createPreviewer } from './preview.ts';
import { settingError } from './request-settings.ts';
import { type GenerationRequest, generatorsOf, type Settings, settingsOf } from './settings.ts';
import { Stopwatch, type Timings } from './timings.ts';

/** What can be seen after every step. */
export interface GenerationStep {
  /** From 1, of the passes of the UNet that are made: some samplers make more than one for a step that was asked for. */
  readonly step: number;
  readonly steps: number;
  /** 2 for Heun's method. */
  readonly passesPerStep: number;
  /** The training timestep that the network was asked about. */
  readonly timestep: number;
  /** The sample on its way to the next timestep, [B, C, h, w]. */
  readonly latents: HostTensor;
  /** The clean latents as the network sees them at this step, [B, C, h, w]. */
  readonly denoised: HostTensor;
  /**
   * A quick look at `denoised`: by the autoencoder for previews where one was given; else by the model's own where that
   * is no more work than a pass of the UNet; else by a linear map, in pictures of the latents' size.
   */
  preview(): Promise<Image[]>;
  /** Pictures of `denoised`, by the autoencoder. */
  decode(): Promise<Image[]>;
}

/** What a drawing comes to. */
export interface Generation {
  readonly images: readonly Picture[];
  /** What they were decoded from, as the UNet sees it, [B, C, h, w]. */
  readonly latents: HostTensor;
  readonly settings: Settings;
  readonly timings: Timings;
}

/** The same before its pictures know what they were drawn with. */
export interface Decoded extends Omit<Generation, 'images'> {
  readonly images: readonly Image[];
}

/** What is known of a generation before any weight is read. */
export interface Plan {
  readonly model: Components;
  readonly settings: Settings;
  readonly sampler: Sampler;
  /** The step to begin with. */
  readonly from: number;
  /** Of the latents, [B, C, h, w]. */
  readonly shape: readonly [number, number, number, number];
  readonly prompts: Prompts;
  readonly signal: AbortSignal | undefined;
  readonly onWarning: ((message: string) => void) | undefined;
  /** One for the whole batch, or one for each picture. */
  readonly generators: Generator | readonly Generator[];
  /** Standard normals for the whole batch, from the generators. */
  draw(): Float32Array<ArrayBuffer>;
}

/** Where the denoising begins, and what it keeps to. */
export type Beginning = Pick<DenoiseInputs, 'latents' | 'furtherChannels' | 'restoreKnown'>;

/** Throws UsageError for what the model cannot do. */
export function planGeneration(model: Components, request: GenerationRequest): Plan {
  const settings = settingsOf(model, request);
  const { prompts, width, height, scheduler, strength } = settings;
  const generators = generatorsOf(request, settings);
  const { factor, latentChannels } = model.vae.config;
  const batch = prompts.length;
  const shape = [batch, latentChannels, height / factor, width / factor] as const;
  // Latent consistency pipelines spread their steps over the strength's share of the grid; the others make the
  // whole schedule and leave out its head.
  const compresses = isLatentConsistency(model) && (scheduler === 'lcm' || scheduler === 'tcd');
  const config = samplerConfig(model.scheduler, scheduler, {
    pipelineClass: model.pipelineClass,
    inpaints: request.mask !== undefined,
  });
  const sampler = located(`${model.location}/scheduler`, () =>
    createSampler(scheduler, config, {
      ...settings,
      strength: compresses ? strength : undefined,
      batchSize: batch,
    }),
  );
  const { steps } = settings;
  const firstStep = compresses || strength === undefined ? 0 : startStep(steps, strength);
  const from = firstStep * sampler.passesPerStep;
  if (firstStep >= steps || from >= sampler.timesteps.length) {
    throw settingError(
      'strength',
      strength,
      mentioning`it leaves none of the ${steps} steps; use at least ${1 / steps}, or more ${mention('steps')}`,
    );
  }
  return {
    model,
    settings,
    sampler,
    from,
    shape,
    prompts: promptsOf(model, settings, request.onWarning),
    signal: request.signal,
    onWarning: request.onWarning,
    generators,
    draw: () => randnTensor(shape, generators),
  };
}

/**
 * Yields every step and returns the pictures. `begin` is called once, after the prompts were encoded. Throws UsageError,
 * before any weight is read, for what needs more memory than there is.
 */
export async function* generate(
  plan: Plan,
  networks: Networks,
  begin: () => Promise<Beginning>,
): AsyncGenerator<GenerationStep, Decoded> {
  const { model, sampler, from, shape, prompts, signal, onWarning, draw } = plan;
  const stopwatch = new Stopwatch();
  const { factor } = model.vae.config;
  const { shapes, tileSize } = planMemory(networks, {
    shapes: {
      ids: prompts.tokens.map(({ ids }) => ids.shape),
      latents: shape,
      pixels:
        plan.settings.strength === undefined ? undefined : [1, 3, plan.settings.height, plan.settings.width],
      unetBatch: prompts.texts.length,
      clipSkip: plan.settings.clipSkip,
    },
    tileSize: plan.settings.tileSize,
    factor,
    onWarning,
  });
  const settings = { ...plan.settings, tileSize };
  const hint = sizeHint(model, settings);
  if (hint !== undefined) onWarning?.(hint);
  const encode = () =>
    stopwatch.time('text', () => encodeConditioning(networks, prompts, settings, { signal }));
  // Text encoders that are let go make room for what is prepared.
  const encoded = networks.releaseTextEncoders ? await encode() : undefined;
  await stopwatch.time('load', () => networks.prepare(shapes, { signal }));
  const conditioning = encoded ?? (await encode());
  signal?.throwIfAborted();
  const beginning = await (settings.strength === undefined ? begin() : stopwatch.time('encode', begin));

  const tile = tileSize === undefined ? undefined : tileSize / factor;
  const toPixels = (latents: HostTensor) => decodePixels(networks, latents, { tile, factor }, { signal });
  const decode = async (latents: HostTensor) => imagesOf(await toPixels(latents));
  const preview = createPreviewer(model, networks, shapes, toPixels);
  const { guidanceWidth } = model.unet.config;
  const steps = denoise({
    networks,
    sampler,
    settings,
    from,
    guidanceWidth,
    noise: draw,
    signal,
    ...conditioning,
    ...beginning,
  });
  // Consistency pipelines decode what the network sees at the end; the others the sample, which may hold a rest of noise.
  const decodesDenoised = isLatentConsistency(model);
  let final = beginning.latents;
  for (;;) {
    const next = await stopwatch.time('denoise', () => steps.next());
    if (next.done) break;
    const { index, timestep } = next.value;
    const sample = hostTensor(next.value.sample.slice(), shape);
    const denoised = hostTensor(next.value.denoised.slice(), shape);
    final = decodesDenoised ? denoised : sample;
    yield {
      step: index - from + 1,
      steps: sampler.timesteps.length - from,
      passesPerStep: sampler.passesPerStep,
      timestep,
      latents: sample,
      denoised,
      preview: () => preview(denoised, { signal }),
      decode: () => decode(denoised),
    };
  }

  signal?.throwIfAborted();
  const images = await stopwatch.time('decode', () => decode(final));
  return { images, latents: final, settings, timings: stopwatch.seconds };
}

/** A model knows the size that it learned: in a picture much larger than that it repeats what it draws. */
function sizeHint(model: Components, { width, height, strength }: Settings): string | undefined {
  const made = pictureSize(model);
  if (made === undefined || strength !== undefined) return undefined;
  if (width <= 2 * made.width && height <= 2 * made.height) return undefined;
  return `the model was made for pictures of ${made.width}×${made.height}; at ${width}×${height} it may repeat what it draws`;
}

function isLatentConsistency({ pipelineClass }: Components): boolean {
  return pipelineClass.startsWith('LatentConsistencyModel');
}
