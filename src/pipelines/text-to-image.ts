/**
 * Text to image: prompt → states → noise → denoised latents → pictures. As diffusers' LatentConsistencyModelPipeline
 * and StableDiffusionPipeline, draw for draw: latents first, then the noise of each step that needs some.
 */
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { type Image, tensorToImage } from '../images/image.ts';
import { randnTensor } from '../random/randn-tensor.ts';
import type { Components } from './components.ts';
import { denoise } from './denoise.ts';
import type { Networks } from './networks.ts';
import { createSampler } from './scheduler.ts';
import { type Settings, settingsOf, type TextToImageRequest } from './settings.ts';
import { encodePrompts, tokenizePrompts } from './text-encoding.ts';
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

/** Yields every step and returns the pictures. Throws UsageError before anything is loaded. */
export async function* textToImage(
  model: Components,
  networks: Networks,
  request: TextToImageRequest,
): AsyncGenerator<GenerationStep, Generation> {
  const { signal } = request;
  const stopwatch = new Stopwatch();
  const settings = settingsOf(model, request);
  const { prompts, negativePrompts, generators, guidance, clipSkip, width, height } = settings;
  const { factor, latentChannels } = model.vae.config;
  const batch = prompts.length;
  const shape = [batch, latentChannels, height / factor, width / factor];
  const sampler = createSampler(settings.scheduler, model.scheduler.config, {
    ...settings,
    batchSize: batch,
  });

  const rows = guidance === 'classifier-free' ? [...negativePrompts, ...prompts] : prompts;
  const tokens = tokenizePrompts(model, rows, request.onWarning);
  await stopwatch.time('load', () =>
    networks.prepare({ ids: tokens.ids.shape, latents: shape, unetBatch: rows.length, clipSkip }),
  );

  const states = await stopwatch.time('text', () => encodePrompts(networks, tokens, clipSkip, { signal }));
  const draw = () => randnTensor(shape, generators);
  const latents = hostTensor(
    draw().map((value) => value * sampler.initNoiseSigma),
    shape,
  );

  const decode = async (denoised: HostTensor) => imagesOf(await networks.decode(denoised, { signal }));
  const guidanceWidth = model.unet.config.time_cond_proj_dim;
  const steps = denoise({ networks, sampler, settings, latents, states, guidanceWidth, noise: draw, signal });
  // Consistency pipelines decode what the network sees at the end; the others the sample, which may hold a rest of noise.
  const decodesDenoised = model.pipelineClass.startsWith('LatentConsistencyModel');
  let final = latents;
  for (;;) {
    const next = await stopwatch.time('denoise', () => steps.next());
    if (next.done) break;
    const { index, timestep } = next.value;
    const sample = hostTensor(next.value.sample.slice(), shape);
    const denoised = hostTensor(next.value.denoised.slice(), shape);
    final = decodesDenoised ? denoised : sample;
    yield {
      step: index + 1,
      steps: sampler.timesteps.length,
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

/** pixels: [B, 3, H, W] in [−1, 1] → B pictures of 8 bits. */
function imagesOf(pixels: HostTensor): Image[] {
  const [batch, , height, width] = pixels.shape as [number, number, number, number];
  const data = float32Data(pixels);
  return Array.from({ length: batch }, (_, i) => tensorToImage(data, width, height, i));
}
