/**
 * The coarse grid of timesteps on which a latent consistency model is distilled (Luo et al. 2023, section 4.3):
 * every k-th training timestep, k = ⌊T / N⌋, and the end of the trajectory before the first.
 */
import { UsageError } from '../errors.ts';

export interface SkippingGrid {
  /** N, the number of intervals; 50 for published models. */
  readonly size: number;
  /** k, the training timesteps that one interval skips. */
  readonly skip: number;
  /** Grid point n = 0 … N: t(0) = 0 and t(n) = n k − 1. The student sees t(n + 1), its target t(n). */
  t(n: number): number;
  /** t(1) … t(N), ascending: those at which the student is trained and sampled. */
  readonly timesteps: readonly number[];
}

/** Throws UsageError when the schedule has fewer timesteps than the grid. */
export function skippingGrid(size = 50, numTrainTimesteps = 1000): SkippingGrid {
  if (!Number.isInteger(size) || size < 1 || size > numTrainTimesteps) {
    throw new UsageError(
      `a grid of ${size} timesteps: the model was trained on ${numTrainTimesteps}; use 1 to ${numTrainTimesteps}`,
    );
  }
  const skip = Math.floor(numTrainTimesteps / size);
  return {
    size,
    skip,
    t(n) {
      if (!Number.isInteger(n) || n < 0 || n > size) {
        throw new RangeError(`grid point ${n}: the grid has 0 to ${size}`);
      }
      return Math.max(n * skip - 1, 0);
    },
    timesteps: Array.from({ length: size }, (_, i) => (i + 1) * skip - 1),
  };
}
