/** What Euler's methods share: the sample is x / α, so that its noise has the standard deviation σ̃ = σ / α. */
import { weightedSum } from '../elementwise.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import type { Sampler } from './sampler.ts';
import type { TimestepSpacing } from './timestep-spacing.ts';

interface SigmaSpace extends Pick<Sampler, 'initNoiseSigma' | 'addNoise' | 'scaleModelInput'> {
  /** The clean picture that the network's output at step `i` amounts to. */
  denoised(modelOutput: Float32Array, i: number, sample: Float32Array): Float32Array;
}

/** sigmas: σ̃ at each step, and last where it ends. */
export function sigmaSpace(
  sigmas: Float32Array,
  {
    prediction_type,
    timestep_spacing,
  }: { readonly prediction_type: PredictionType; readonly timestep_spacing: TimestepSpacing },
): SigmaSpace {
  const largest = Math.max(...sigmas);
  return {
    // Where the schedule begins below its end the noise of the data itself counts too.
    initNoiseSigma: timestep_spacing === 'leading' ? Math.sqrt(largest ** 2 + 1) : largest,
    addNoise: (original, noise, i) => weightedSum(1, original, sigmas[i]!, noise),
    scaleModelInput: (sample, i) => sample.map((x) => x / Math.sqrt(sigmas[i]! ** 2 + 1)),
    denoised(modelOutput, i, sample) {
      const sigma = sigmas[i]!;
      const alpha = 1 / Math.sqrt(sigma ** 2 + 1);
      const scaled = sample.map((x) => x * alpha);
      return predictedOriginal(prediction_type, modelOutput, scaled, alpha, sigma * alpha);
    },
  };
}
