/**
 * DDIM (Song, Meng and Ermon 2021, eq. 12 and 16), as diffusers' DDIMScheduler. η = 0 follows the probability
 * flow ODE, and is the solver that latent consistency models are distilled from; η = 1 is DDPM.
 */
import { SettingError } from '../../errors.ts';
import { weightedSum } from '../elementwise.ts';
import { addNoise, ddpmSchedule, type NoiseScheduleConfig, noiseSchedule } from '../noise-schedule.ts';
import { type PredictionType, predictedNoise, predictedOriginal } from '../prediction.ts';
import { type ClippingConfig, clip, noClipping } from './clipping.ts';
import type { Sampler } from './sampler.ts';
import { checkSteps, spacedTimesteps, type TimestepSpacing } from './timestep-spacing.ts';

export interface DdimConfig extends NoiseScheduleConfig, ClippingConfig {
  readonly prediction_type: PredictionType;
  readonly timestep_spacing: TimestepSpacing;
  /** What is added to leading timesteps; 1 for Stable Diffusion. */
  readonly steps_offset: number;
  /** The last step ends at ᾱ = 1, otherwise at ᾱ_0. */
  readonly set_alpha_to_one: boolean;
}

export const ddimDefaults: DdimConfig = {
  ...ddpmSchedule,
  ...noClipping,
  clip_sample: true,
  prediction_type: 'epsilon',
  timestep_spacing: 'leading',
  steps_offset: 0,
  set_alpha_to_one: true,
};

/** One run of the DDIM sampler. */
export interface DdimOptions {
  readonly steps: number;
  /** Share of fresh noise, 0 to 1. Above 0 every step draws, the last one too. */
  readonly eta?: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/** Throws UsageError for a number of steps that the schedule does not have, and for η outside 0 to 1. */
export function ddimSampler(
  config: Partial<DdimConfig>,
  { steps, eta = 0, batchSize = 1 }: DdimOptions,
): Sampler {
  const full = { ...ddimDefaults, ...config };
  const { num_train_timesteps: length, prediction_type } = full;
  checkSteps(steps, length);
  if (!(eta >= 0 && eta <= 1)) throw new SettingError('eta', 'eta', `${eta}: use a number from 0 to 1`);
  const schedule = noiseSchedule(full);
  const { alphas, sigmas, alphasCumprod } = schedule;
  const timesteps = spacedTimesteps(full, steps);
  const skip = Math.floor(length / steps);

  return {
    timesteps,
    initNoiseSigma: 1,
    passesPerStep: 1,
    addNoise: (original, noise, i) => addNoise(schedule, original, noise, [timesteps[i]!]),
    scaleModelInput: (sample) => sample,
    step(modelOutput, i, sample, noise) {
      const t = timesteps[i]!;
      const [alpha, sigma] = [alphas[t]!, sigmas[t]!];
      const original = predictedOriginal(prediction_type, modelOutput, sample, alpha, sigma);
      const epsilon = predictedNoise(prediction_type, modelOutput, sample, alpha, sigma);
      const denoised = clip(full, original, batchSize);

      const finalAlphaCumprod = full.set_alpha_to_one ? 1 : alphasCumprod[0]!;
      const previous = alphasCumprod[t - skip] ?? finalAlphaCumprod; // ᾱ where this step ends
      const variance = ((1 - previous) / sigma ** 2) * (1 - alphasCumprod[t]! / previous);
      const deviation = eta * Math.sqrt(variance);
      const direction = Math.sqrt(1 - previous - deviation ** 2);
      const mean = weightedSum(Math.sqrt(previous), denoised, direction, epsilon);
      return { sample: eta > 0 ? weightedSum(1, mean, deviation, noise()) : mean, denoised };
    },
  };
}
