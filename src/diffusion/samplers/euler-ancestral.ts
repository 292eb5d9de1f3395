/**
 * Euler's method with ancestral sampling, as diffusers' EulerAncestralDiscreteScheduler: each step goes down the
 * probability flow ODE in σ̃ = σ / α past the next noise level, and back up to it with fresh noise, by as much as the
 * DDPM posterior has (Ho et al. 2020, eq. 7). As with Euler's method alone, the sample is x / α.
 */
import { weightedSum } from '../elementwise.ts';
import { ddpmSchedule, type NoiseScheduleConfig, noiseSchedule } from '../noise-schedule.ts';
import type { PredictionType } from '../prediction.ts';
import type { ConfigReading } from './config.ts';
import type { SigmaSampler } from './sampler.ts';
import { sigmaSpace, sigmaSpaceTimesteps } from './sigma-space.ts';
import { sigmaAt, sigmaTable, withFiniteSigmas } from './sigmas.ts';
import { checkSteps, type TimestepSpacing } from './timestep-spacing.ts';

export interface EulerAncestralConfig extends NoiseScheduleConfig {
  readonly prediction_type: Exclude<PredictionType, 'sample'>;
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
}

export const eulerAncestralDefaults: EulerAncestralConfig = {
  ...ddpmSchedule,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
};

export const eulerAncestralReading: ConfigReading<EulerAncestralConfig> = {
  defaults: eulerAncestralDefaults,
  supported: { prediction_type: ['epsilon', 'v_prediction'] },
};

export interface EulerAncestralOptions {
  readonly steps: number;
}

/**
 * Every step draws noise, the last one too, which adds none of it. Throws UsageError for a number of steps that the
 * schedule does not have.
 */
export function eulerAncestralSampler(
  config: Partial<EulerAncestralConfig>,
  { steps }: EulerAncestralOptions,
): SigmaSampler {
  const full = { ...eulerAncestralDefaults, ...config };
  checkSteps(steps, full.num_train_timesteps);
  const table = sigmaTable(withFiniteSigmas(noiseSchedule(full)));
  const timesteps = sigmaSpaceTimesteps(full, steps);
  const sigmas = Float32Array.of(...timesteps.map((t) => sigmaAt(table, t)), 0);
  const { denoised: denoise, ...space } = sigmaSpace(sigmas, full);

  return {
    timesteps,
    sigmas,
    passesPerStep: 1,
    ...space,
    step(modelOutput, i, sample, noise) {
      const denoised = denoise(modelOutput, i, sample);
      const next = sigmas[i + 1]!;
      // Down to σ̃'² / σ̃; what lacks of the variance σ̃'² comes as noise.
      const ratio = next / sigmas[i]!;
      const down = weightedSum(ratio ** 2, sample, 1 - ratio ** 2, denoised);
      const up = next * Math.sqrt(1 - ratio ** 2);
      return { sample: weightedSum(1, down, up, noise()), denoised };
    },
  };
}
