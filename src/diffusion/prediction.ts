/** What a network's output says about the clean sample and about the noise in x_t = α x_0 + σ ε. */
import { UsageError } from '../errors.ts';
import { weightedSum } from './elementwise.ts';

/** What a network may predict, in diffusers' words. */
export const predictionTypes = ['epsilon', 'v_prediction', 'sample'] as const;
/** The network predicts ε, v = α ε − σ x_0 (Salimans and Ho 2022), or x_0. */
export type PredictionType = (typeof predictionTypes)[number];

/**
 * x̂_0 from the output at x_t.
 * Throws UsageError for an ε-prediction at α = 0: pure noise says nothing about x_0.
 */
export function predictedOriginal(
  type: PredictionType,
  output: Float32Array,
  sample: Float32Array,
  alpha: number,
  sigma: number,
): Float32Array {
  switch (type) {
    case 'epsilon':
      if (alpha === 0) {
        throw new UsageError(
          'prediction_type "epsilon" divides by zero at a timestep with zero signal-to-noise ratio ' +
            '(rescale_betas_zero_snr); it needs a model with "v_prediction" or "sample"',
        );
      }
      return weightedSum(1 / alpha, sample, -sigma / alpha, output);
    case 'v_prediction':
      return weightedSum(alpha, sample, -sigma, output);
    case 'sample':
      return output;
  }
}

/** ε̂ from the output at x_t. */
export function predictedNoise(
  type: PredictionType,
  output: Float32Array,
  sample: Float32Array,
  alpha: number,
  sigma: number,
): Float32Array {
  switch (type) {
    case 'epsilon':
      return output;
    case 'v_prediction':
      return weightedSum(alpha, output, sigma, sample);
    case 'sample':
      return weightedSum(1 / sigma, sample, -alpha / sigma, output);
  }
}
