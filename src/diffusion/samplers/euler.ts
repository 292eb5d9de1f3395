/**
 * Euler's method on the probability flow ODE in σ̃ = σ / α (Karras et al. 2022, algorithm 1 without its
 * correction), as diffusers' EulerDiscreteScheduler without churn. The sample is x / α; the network is given x.
 */
import { weightedSum } from '../elementwise.ts';
import { ddpmSchedule, type NoiseScheduleConfig, noiseSchedule } from '../noise-schedule.ts';
import type { PredictionType } from '../prediction.ts';
import type { ConfigReading } from './config.ts';
import type { SigmaSampler } from './sampler.ts';
import { sigmaSpace } from './sigma-space.ts';
import {
  type FinalSigmaType,
  finalSigma,
  noSigmaSpread,
  type SigmaSpreadConfig,
  sigmaAt,
  sigmaTable,
  spreadSigmas,
  timestepAt,
  withFiniteSigmas,
} from './sigmas.ts';
import {
  checkSteps,
  leadingTimesteps,
  linspaceDescending,
  type TimestepSpacing,
  type TimestepSpacingConfig,
  trailingTimesteps,
} from './timestep-spacing.ts';

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
  const spaced = eulerTimesteps(full, steps);
  const levels = spaced.map((t) => sigmaAt(table, t));
  const spread = spreadSigmas(full, { min: levels.at(-1)!, max: levels[0]!, count: steps });
  const timesteps = spread?.map((sigma) => Math.fround(timestepAt(table, sigma))) ?? spaced;
  const sigmas = Float32Array.of(...(spread ?? levels), finalSigma(full.final_sigmas_type, table));
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

/** Descending; with `linspace` not integers. */
export function eulerTimesteps(config: TimestepSpacingConfig, steps: number): number[] {
  const { num_train_timesteps: length, timestep_spacing, steps_offset } = config;
  switch (timestep_spacing) {
    case 'linspace':
      return linspaceDescending(length - 1, steps).map(Math.fround);
    case 'trailing':
      return trailingTimesteps(length, length, steps);
    case 'leading':
      return leadingTimesteps(Math.floor(length / steps), steps, steps_offset);
  }
}
