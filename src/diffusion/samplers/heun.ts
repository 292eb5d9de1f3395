/**
 * Heun's method on the probability flow ODE in σ̃ = σ / α (Karras et al. 2022, algorithm 1 without churn), as diffusers'
 * HeunDiscreteScheduler: a step of Euler's method, then the same step once more with the mean of the slopes at its two
 * ends. Two passes a step, but for the last, which ends at no noise, where there is no slope.
 */
import { linearCombination, weightedSum } from '../elementwise.ts';
import { type BetaScheduleConfig, ddpmBetas, noiseSchedule } from '../noise-schedule.ts';
import type { PredictionType } from '../prediction.ts';
import { type ClippingConfig, clip, noClipping } from './clipping.ts';
import type { SigmaSampler } from './sampler.ts';
import { sigmaSpace, timestepsAndLevels } from './sigma-space.ts';
import { noSigmaSpread, type SigmaSpreadConfig, sigmaTable } from './sigmas.ts';
import { checkSteps, type TimestepSpacing } from './timestep-spacing.ts';

export interface HeunConfig
  extends BetaScheduleConfig,
    SigmaSpreadConfig,
    Pick<ClippingConfig, 'clip_sample' | 'clip_sample_range'> {
  readonly prediction_type: PredictionType;
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
}

export const heunDefaults: HeunConfig = {
  ...ddpmBetas,
  ...noSigmaSpread,
  beta_start: 0.00085,
  beta_end: 0.012,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  clip_sample: false,
  clip_sample_range: 1,
};

export interface HeunOptions {
  /** There is one pass less than twice as many. */
  readonly steps: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. */
export function heunSampler(config: Partial<HeunConfig>, { steps }: HeunOptions): SigmaSampler {
  const full = { ...heunDefaults, ...config };
  checkSteps(steps, full.num_train_timesteps);
  const { timesteps, levels } = timestepsAndLevels(full, steps, sigmaTable(noiseSchedule(full)));
  const twice = (values: readonly number[]) =>
    values.flatMap((value, i) => (i === 0 ? [value] : [value, value]));
  // The passes 2n and 2n + 1 lead from level n to level n + 1.
  const sigmas = Float32Array.of(...twice(levels), 0);
  const { denoised: denoise, ...space } = sigmaSpace(sigmas, full);
  let begun: { sample: Float32Array; denoised: Float32Array }; // the pass 2n

  return {
    timesteps: twice(timesteps),
    sigmas,
    passesPerStep: 2,
    ...space,
    step(modelOutput, i, sample) {
      const original = denoise(modelOutput, i, sample);
      const denoised = clip({ ...noClipping, ...full }, original, 1);
      if (i % 2 === 0) {
        begun = { sample, denoised };
        const ratio = sigmas[i + 1]! / sigmas[i]!;
        return { sample: weightedSum(ratio, sample, 1 - ratio, denoised), denoised };
      }
      // x + (σ̃' − σ̃) (d + d') / 2 with the slopes d = (x − x̂_0) / σ̃ at both ends
      const [from, to] = [sigmas[i - 1]!, sigmas[i]!];
      const [first, second] = [(to - from) / 2 / from, (to - from) / 2 / to];
      const weights = [1 + first, -first, second, -second];
      return {
        sample: linearCombination(weights, [begun.sample, begun.denoised, sample, denoised]),
        denoised,
      };
    },
  };
}
