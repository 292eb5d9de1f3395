/** Which timesteps a diffusion training sees, and how often. */
import type { Generator } from '../../random/generator.ts';

export interface TimestepSampling {
  /** Of the samples, the fraction whose timestep is drawn from `from` to `to` (inclusive) instead of from all. */
  readonly tilt: number;
  readonly from: number;
  readonly to: number;
  /** Weigh the loss so that its expectation is that of uniform sampling. */
  readonly importanceWeights: boolean;
  /**
   * Of the samples, the fraction that sees pure noise at the last timestep: a schedule that does not end at zero
   * signal leaves a trace of the picture that sampling does not have (Lin et al. 2023, section 3.1).
   */
  readonly pureNoise: number;
}

export interface SampledTimestep {
  readonly t: number;
  /** What the sample's loss counts. */
  readonly weight: number;
  readonly pureNoise: boolean;
}

/**
 * Timesteps of a batch, 0 to length − 1. One uniform number spread evenly over the batch serves all of them, which
 * leaves each as it would be and makes the batch's loss less noisy (Kingma et al. 2021, section I.1).
 */
export function sampleTimesteps(
  random: Generator,
  batch: number,
  length: number,
  { tilt, from, to, importanceWeights, pureNoise }: TimestepSampling,
): SampledTimestep[] {
  const inside = to - from + 1;
  const density = (t: number) => (1 - tilt) / length + (t >= from && t <= to ? tilt / inside : 0);
  const offset = random.uniform64(1)[0]!;
  const noiseOnly = random.uniform(batch);
  const order = random.randperm(batch);
  return Array.from({ length: batch }, (_, i) => {
    if (noiseOnly[i]! < pureNoise) return { t: length - 1, weight: 1, pureNoise: true };
    const u = (order[i]! + offset) / batch;
    // The share 1 − tilt of [0, 1) maps to all timesteps, the rest to those from `from` to `to`.
    const t =
      u < 1 - tilt
        ? Math.floor((u / (1 - tilt)) * length)
        : from + Math.floor(((u - 1 + tilt) / tilt) * inside);
    return {
      t: Math.min(t, length - 1),
      weight: importanceWeights ? 1 / length / density(t) : 1,
      pureNoise: false,
    };
  });
}
