/** The inputs of a consistency step: as leaves of the graph, and as values computed on the host in float64. */
import { boundaryScalings } from '../diffusion/consistency.ts';
import type { NoiseSchedule } from '../diffusion/noise-schedule.ts';
import type { SkippingGrid } from '../diffusion/skipping-grid.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Shape } from '../graph/shape.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import type { ConsistencyBatch, GridPoint } from './objectives/consistency-distillation.ts';

/**
 * Leaves for everything but the caption states. latents: [B, C, h, w]; embeddingWidth: of the guidance embedding,
 * undefined for students without one. `guidance` is w, [B, 1, 1, 1], for a guided teacher.
 */
export function consistencyInputs(
  latents: Shape,
  embeddingWidth: number | undefined,
): { batch: Omit<ConsistencyBatch, 'states'>; guidance: Tensor } {
  const batch = latents[0]!;
  const perSample = (name: string) => input(name, [batch, 1, 1, 1]);
  const point = (name: 'start' | 'end'): GridPoint => ({
    timesteps: input(`${name}_timesteps`, [batch]),
    alpha: perSample(`${name}_alpha`),
    sigma: perSample(`${name}_sigma`),
    skip: perSample(`${name}_skip`),
    out: perSample(`${name}_out`),
  });
  return {
    batch: {
      latents: input('latents', latents),
      noise: input('noise', latents),
      latentScale: perSample('latent_scale'),
      noiseScale: perSample('noise_scale'),
      start: point('start'),
      end: point('end'),
      ...(embeddingWidth !== undefined && {
        guidanceEmbedding: input('guidance_embedding', [batch, embeddingWidth]),
      }),
    },
    guidance: perSample('guidance'),
  };
}

export interface BoundaryOptions {
  readonly timestepScaling: number;
  readonly sigmaData: number;
}

/**
 * Values of the schedule where each sample stands: the student at grid point index + 1, its target at `index`. Samples
 * of `pureNoise` start from noise alone, as sampling does: the schedule's last timestep still holds some picture.
 */
export function gridCoefficients(
  schedule: NoiseSchedule,
  grid: SkippingGrid,
  indices: readonly number[],
  { timestepScaling, sigmaData }: BoundaryOptions,
  pureNoise: readonly boolean[] = [],
): Record<string, HostTensor> {
  const coefficients = (t: number) => {
    const alphaCumprod = schedule.alphasCumprod[t]!;
    const { cSkip, cOut } = boundaryScalings(t, timestepScaling, sigmaData);
    return { alpha: Math.sqrt(alphaCumprod), sigma: Math.sqrt(1 - alphaCumprod), skip: cSkip, out: cOut };
  };
  const starts = indices.map((index) => coefficients(grid.t(index + 1)));
  const inputs: Record<string, HostTensor> = {
    start_timesteps: perSampleVector(indices.map((index) => grid.t(index + 1))),
    end_timesteps: perSampleVector(indices.map((index) => grid.t(index))),
    latent_scale: perSampleValues(starts.map(({ alpha }, i) => (pureNoise[i] ? 0 : alpha))),
    noise_scale: perSampleValues(starts.map(({ sigma }, i) => (pureNoise[i] ? 1 : sigma))),
  };
  const ends = indices.map((index) => coefficients(grid.t(index)));
  for (const name of ['alpha', 'sigma', 'skip', 'out'] as const) {
    inputs[`start_${name}`] = perSampleValues(starts.map((point) => point[name]));
    inputs[`end_${name}`] = perSampleValues(ends.map((point) => point[name]));
  }
  return inputs;
}

/** One number per sample in the shape that broadcasts over [B, C, h, w]. */
export function perSampleValues(values: readonly number[]): HostTensor {
  return hostTensor(Float32Array.from(values), [values.length, 1, 1, 1]);
}

/** One number per sample, [B]. */
export function perSampleVector(values: readonly number[]): HostTensor {
  return hostTensor(Float32Array.from(values), [values.length]);
}
