/**
 * Euler's method on the probability flow ODE in σ̃ = σ / α (Karras et al. 2022, algorithm 1 without its
 * correction), as diffusers' EulerDiscreteScheduler without churn. The sample is x / α; the network is given x.
 */
import { weightedSum } from '../elementwise.ts';
import { ddpmSchedule, type NoiseScheduleConfig, noiseSchedule } from '../noise-schedule.ts';
import type { PredictionType } from '../prediction.ts';
import type { ConfigReading } from './config.ts';
import type { SigmaSampler } from './sampler.ts';
import { sigmaSpace, timestepsAndLevels } from './sigma-space.ts';
import {
  type FinalSigmaType,
  finalSigma,
  noSigmaSpread,
  type SigmaSpreadConfig,
  sigmaTable,
  withFiniteSigmas,
} from './sigmas.ts';
import { checkSteps, type TimestepSpacing } from './timestep-spacing.ts';

export interface EulerConfig extends NoiseScheduleConfig, SigmaSpreadConfig {
  readonly prediction_type: PredictionType;
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
  readonly final_sigmas_type: FinalSigmaType;
}

export const eulerDefaults: EulerConfig = {
  ...ddpmSchedule,
  ...noSigmaSpread,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  final_sigmas_type: 'zero',
};

export const eulerReading: ConfigReading<EulerConfig> = {
  defaults: eulerDefaults,
  supported: { interpolation_type: ['linear'], timestep_type: ['discrete'] },
};

export interface EulerOptions {
  readonly steps: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. */
export function eulerSampler(config: Partial<EulerConfig>, { steps }: EulerOptions): SigmaSampler {
  const full = { ...eulerDefaults, ...config };
  checkSteps(steps, full.num_train_timesteps);
  const table = sigmaTable(withFiniteSigmas(noiseSchedule(full)));
  const { timesteps, levels } = timestepsAndLevels(full, steps, table);
  const sigmas = Float32Array.of(...levels, finalSigma(full.final_sigmas_type, table[0]!));
  const { denoised: denoise, ...space } = sigmaSpace(sigmas, full);

  return {
    timesteps,
    sigmas,
    passesPerStep: 1,
    ...space,
    step(modelOutput, i, sample) {
      const denoised = denoise(modelOutput, i, sample);
      // x + (σ̃' − σ̃) dx/dσ̃ with dx/dσ̃ = (x − x̂_0) / σ̃
      const ratio = sigmas[i + 1]! / sigmas[i]!;
      return { sample: weightedSum(ratio, sample, 1 - ratio, denoised), denoised };
    },
  };
}
