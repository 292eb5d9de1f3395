/** The loop that all pipelines share: a sampler over a guided network, one step at a time. */
import { guidanceScaleEmbedding } from '../diffusion/guidance-embedding.ts';
import type { Sampler, SamplerStep } from '../diffusion/samplers/sampler.ts';
import { InputError } from '../errors.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Shape } from '../graph/shape.ts';
import { allFinite, NotFiniteError } from '../networks/finite.ts';
import type { Networks } from '../networks/networks.ts';
import type { AddedConditions } from '../networks/values.ts';
import { guide, rescaleGuided } from './guidance.ts';
import type { Settings } from './settings.ts';

export interface DenoiseInputs {
  readonly networks: Networks;
  readonly sampler: Sampler;
  readonly settings: Settings;
  /** Where the sampler begins, [B, C, h, w]. */
  readonly latents: HostTensor;
  /** [B, L, D]; with classifier-free guidance [2B, L, D], the negative prompts first. */
  readonly states: HostTensor;
  /** SDXL's further conditions, with as many rows as the states. */
  readonly added?: AddedConditions | undefined;
  /** What an inpainting UNet sees below the latents: mask and masked picture, [B, C + 1, h, w]. */
  readonly furtherChannels?: HostTensor | undefined;
  /**
   * Puts what is known of the picture back into latents [B, C, h, w], with as much noise as step `index` expects;
   * with none where there is no such step.
   */
  readonly restoreKnown?: ((latents: Float32Array, index: number) => Float32Array) | undefined;
  /** Width of the network's guidance embedding; undefined if it has none. */
  readonly guidanceWidth: number | undefined;
  /** Standard normals for the whole batch, drawn by steps that need them. */
  readonly noise: () => Float32Array;
  /** The step to begin with; later than 0 for image-to-image. */
  readonly from?: number;
  readonly signal?: AbortSignal | undefined;
}

export interface DenoiseStep extends SamplerStep {
  /** From 0. */
  readonly index: number;
  readonly timestep: number;
}

/** Yields the sample after every step. Stops with the signal's reason between two steps. */
export async function* denoise(inputs: DenoiseInputs): AsyncGenerator<DenoiseStep> {
  const { sampler, latents, noise, from = 0, restoreKnown = (all) => all, signal } = inputs;
  const predict = guidedNetwork(inputs);
  let sample: Float32Array = float32Data(latents);
  for (let index = from; index < sampler.timesteps.length; index++) {
    signal?.throwIfAborted();
    const timestep = sampler.timesteps[index]!;
    const place = `step ${index - from + 1} of ${sampler.timesteps.length - from}`;
    const output = await placed(place, predict(sampler.scaleModelInput(sample, index), timestep));
    const step = sampler.step(output, index, sample, noise);
    if (!allFinite(step.sample) || !allFinite(step.denoised)) {
      const { scheduler, guidanceScale } = inputs.settings;
      throw new NotFiniteError(
        `${place}: the scheduler ${scheduler} makes NaN or infinity of what the network predicts; check the betas in ` +
          `the model's scheduler_config.json, and the guidance scale ${guidanceScale}`,
      );
    }
    sample = restoreKnown(step.sample, index + 1);
    yield { sample, denoised: restoreKnown(step.denoised, sampler.timesteps.length), index, timestep };
  }
}

/** Says in which step something went wrong. */
async function placed<T>(place: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    const Kind = [NotFiniteError, InputError].find((kind) => error instanceof kind);
    const { message, path, code } = error as InputError;
    if (Kind) throw new Kind(`${place}: ${message}`, { cause: error, path, code });
    throw error;
  }
}

/** What the network predicts for a batch of samples, [B, C, h, w] → the same, with the guidance that was set. */
function guidedNetwork(
  inputs: DenoiseInputs,
): (sample: Float32Array, timestep: number) => Promise<Float32Array> {
  const { networks, settings, latents, states, added, furtherChannels, guidanceWidth, signal } = inputs;
  const { guidanceScale, guidanceRescale } = settings;
  const shape = latents.shape;
  const batch = shape[0]!;
  const run = async (
    latents: Float32Array,
    timestep: number,
    guidance?: HostTensor,
    latentShape: Shape = shape,
  ) => {
    const sample = withChannels(hostTensor(latents, latentShape), furtherChannels);
    return float32Data(await networks.predict({ sample, timestep, states, guidance, added }, { signal }));
  };

  switch (settings.guidance) {
    case 'none':
      return (sample, timestep) => run(sample, timestep);
    case 'embedded': {
      const w = new Array<number>(batch).fill(guidanceScale - 1);
      const embedding = hostTensor(guidanceScaleEmbedding(w, guidanceWidth!), [batch, guidanceWidth!]);
      return (sample, timestep) => run(sample, timestep, embedding);
    }
    case 'classifier-free':
      return async (sample, timestep) => {
        const twice = new Float32Array(2 * sample.length);
        twice.set(sample);
        twice.set(sample, sample.length);
        const both = await run(twice, timestep, undefined, [2 * batch, ...shape.slice(1)]);
        const guided = guide(both, guidanceScale);
        if (guidanceRescale === 0) return guided;
        return rescaleGuided(guided, both.subarray(sample.length), batch, guidanceRescale);
      };
  }
}

/** latents: [B or 2B, C, h, w], further: [B, F, h, w], the same for both halves → [B or 2B, C + F, h, w]. */
function withChannels(latents: HostTensor, further: HostTensor | undefined): HostTensor {
  if (further === undefined) return latents;
  const [rows, channels, height, width] = latents.shape as [number, number, number, number];
  const [batch, more] = further.shape as [number, number];
  const [size, moreSize] = [channels * height * width, more * height * width];
  const both = new Float32Array(rows * (size + moreSize));
  for (let row = 0; row < rows; row++) {
    const at = row * (size + moreSize);
    const image = row % batch;
    both.set(float32Data(latents).subarray(row * size, (row + 1) * size), at);
    both.set(float32Data(further).subarray(image * moreSize, (image + 1) * moreSize), at + size);
  }
  return hostTensor(both, [rows, channels + more, height, width]);
}
