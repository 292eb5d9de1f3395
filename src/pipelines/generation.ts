/**
 * What text-to-image, image-to-image and inpainting share: prompt → states; latents to begin with, in which they
 * differ; denoised latents → pictures.
 */
import { type Sampler, startStep } from '../diffusion/samplers/sampler.ts';
import { UsageError } from '../errors.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { type Image, tensorToImage } from '../images/image.ts';
import { randnTensor } from '../random/randn-tensor.ts';
import type { Components } from './components.ts';
import { encodeConditioning, type Prompts, promptsOf } from './conditioning.ts';
import { type DenoiseInputs, denoise } from './denoise.ts';
import type { Networks } from './networks.ts';
import { createSampler } from './scheduler.ts';
import { type GenerationRequest, type Settings, settingsOf } from './settings.ts';
import { Stopwatch, type Timings } from './timings.ts';

/** What can be seen after every step. */
export interface GenerationStep {
  /** From 1. */
  readonly step: number;
  readonly steps: number;
  /** The training timestep that the network was asked about. */
  readonly timestep: number;
  /** The sample on its way to the next timestep, [B, C, h, w]. */
  readonly latents: HostTensor;
  /** The clean latents as the network sees them at this step, [B, C, h, w]. */
  readonly denoised: HostTensor;
  /** A quick look at `denoised`, which may be coarser than what `decode` gives. */
  preview(): Promise<Image[]>;
  /** Pictures of `denoised`, by the autoencoder. */
  decode(): Promise<Image[]>;
}

export interface Generation {
  readonly images: readonly Image[];
  /** What they were decoded from, as the UNet sees it, [B, C, h, w]. */
  readonly latents: HostTensor;
  readonly settings: Settings;
  readonly timings: Timings;
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
  /** Standard normals for the whole batch, from its generators. */
  draw(): Float32Array<ArrayBuffer>;
}

/** Where the denoising begins, and what it keeps to. */
export type Beginning = Pick<DenoiseInputs, 'latents' | 'furtherChannels' | 'restoreKnown'>;

/** Throws UsageError for what the model cannot do. */
export function planGeneration(model: Components, request: GenerationRequest): Plan {
  const settings = settingsOf(model, request);
  const { prompts, generators, width, height, scheduler, strength } = settings;
  const { factor, latentChannels } = model.vae.config;
  const batch = prompts.length;
  const shape = [batch, latentChannels, height / factor, width / factor] as const;
  // Latent consistency pipelines spread their steps over the strength's share of the grid; the others make the
  // whole schedule and leave out its head.
  const compresses = isLatentConsistency(model) && (scheduler === 'lcm' || scheduler === 'tcd');
  const sampler = createSampler(scheduler, model.scheduler.config, {
    ...settings,
    strength: compresses ? strength : undefined,
    batchSize: batch,
  });
  const steps = sampler.timesteps.length;
  const from = compresses || strength === undefined ? 0 : startStep(steps, strength);
  if (from >= steps) {
    throw new UsageError(
      `strength ${strength} leaves none of the ${steps} steps; use at least ${1 / steps}, or more steps`,
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
    draw: () => randnTensor(shape, generators),
  };
}

/** Yields every step and returns the pictures. `begin` is called once, after the prompts were encoded. */
export async function* generate(
  plan: Plan,
  networks: Networks,
  begin: () => Promise<Beginning>,
): AsyncGenerator<GenerationStep, Generation> {
  const { model, settings, sampler, from, shape, prompts, signal, draw } = plan;
  const stopwatch = new Stopwatch();
  await stopwatch.time('load', () =>
    networks.prepare({
      ids: prompts.tokens.map(({ ids }) => ids.shape),
      latents: shape,
      pixels: settings.strength === undefined ? undefined : [1, 3, settings.height, settings.width],
      unetBatch: prompts.texts.length,
      clipSkip: settings.clipSkip,
    }),
  );
  const conditioning = await stopwatch.time('text', () =>
    encodeConditioning(networks, prompts, settings, { signal }),
  );
  signal?.throwIfAborted();
  const beginning = await (settings.strength === undefined ? begin() : stopwatch.time('encode', begin));

  const decode = async (latents: HostTensor) => imagesOf(await networks.decode(latents, { signal }));
  const guidanceWidth = model.unet.config.time_cond_proj_dim;
  const steps = denoise({
    ...{ networks, sampler, settings, from, guidanceWidth, noise: draw, signal },
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
      timestep,
      latents: sample,
      denoised,
      preview: () => decode(denoised),
      decode: () => decode(denoised),
    };
  }

  signal?.throwIfAborted();
  const images = await stopwatch.time('decode', () => decode(final));
  return { images, latents: final, settings, timings: stopwatch.seconds };
}

function isLatentConsistency({ pipelineClass }: Components): boolean {
  return pipelineClass.startsWith('LatentConsistencyModel');
}

/** pixels: [B, 3, H, W] in [−1, 1] → B pictures of 8 bits. */
function imagesOf(pixels: HostTensor): Image[] {
  const [batch, , height, width] = pixels.shape as [number, number, number, number];
  const data = float32Data(pixels);
  return Array.from({ length: batch }, (_, i) => tensorToImage(data, width, height, i));
}
