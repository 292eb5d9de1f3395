/**
 * Strategic stochastic sampling for trajectory consistency distillation (Zheng et al. 2024):
 * each step goes down the trajectory to s = ⌊(1 − γ) t_next⌋ without noise, then up to t_next with it.
 * As diffusers' TCDScheduler. γ = 0 is deterministic, γ = 1 is multistep consistency sampling.
 */
import { mention, mentioning, SettingError, UsageError } from '../../errors.ts';
import { weightedSum } from '../elementwise.ts';
import {
  addNoise,
  type NoiseScheduleConfig,
  noiseSchedule,
  stableDiffusionSchedule,
} from '../noise-schedule.ts';
import { type PredictionType, predictedNoise, predictedOriginal } from '../prediction.ts';
import { skippingGrid } from '../skipping-grid.ts';
import { type ConsistencyTimestepOptions, consistencyTimesteps } from './consistency-timesteps.ts';
import type { Sampler } from './sampler.ts';

export interface TcdConfig extends NoiseScheduleConfig {
  readonly prediction_type: PredictionType;
  readonly original_inference_steps: number;
}

export const tcdDefaults: TcdConfig = {
  ...stableDiffusionSchedule,
  prediction_type: 'epsilon',
  original_inference_steps: 50,
};

/** One run of the TCD sampler. */
export interface TcdOptions extends ConsistencyTimestepOptions {
  /** γ, diffusers' eta: 0 to 1. */
  readonly gamma?: number;
  /**
   * When given, timesteps are spread over the whole training schedule instead of the distillation's grid, and
   * this is only the largest number of steps. That is what diffusers makes of its original_inference_steps.
   */
  readonly originalSteps?: number;
}

/** Throws UsageError for steps or timesteps that the model was not made for, and for γ outside 0 to 1. */
export function tcdSampler(config: Partial<TcdConfig>, options: TcdOptions): Sampler {
  const full = { ...tcdDefaults, ...config };
  const { num_train_timesteps, prediction_type } = full;
  const { gamma = 0.3, originalSteps, steps = 1 } = options;
  if (!(gamma >= 0 && gamma <= 1)) throw new UsageError(`gamma ${gamma}: use a number from 0 to 1`);
  const grid = skippingGrid(full.original_inference_steps, num_train_timesteps);
  if (originalSteps !== undefined && steps > originalSteps) {
    throw new SettingError(
      'steps',
      'steps',
      mentioning`${steps}: use at most the ${mention('originalSteps', 'original steps')}, ${originalSteps}`,
    );
  }
  const everyTimestep = Array.from({ length: num_train_timesteps }, (_, t) => t);
  const trained = originalSteps === undefined ? grid.timesteps : everyTimestep;
  const { timesteps, lastStep } = consistencyTimesteps(options, trained, num_train_timesteps);
  const schedule = noiseSchedule(full);
  const { alphas, sigmas, alphasCumprod } = schedule;

  return {
    timesteps,
    initNoiseSigma: 1,
    passesPerStep: 1,
    addNoise: (original, noise, i) => addNoise(schedule, original, noise, [timesteps[i]!]),
    scaleModelInput: (sample) => sample,
    step(modelOutput, i, sample, noise) {
      const t = timesteps[i]!;
      const next = timesteps[i + 1] ?? 0;
      const s = Math.floor(Math.fround(Math.fround(1 - gamma) * next));
      const [alpha, sigma] = [alphas[t]!, sigmas[t]!];
      const denoised = predictedOriginal(prediction_type, modelOutput, sample, alpha, sigma);
      const epsilon = predictedNoise(prediction_type, modelOutput, sample, alpha, sigma);
      const atS = weightedSum(alphas[s]!, denoised, sigmas[s]!, epsilon);
      if (gamma === 0 || i === lastStep) return { sample: atS, denoised };
      const ratio = alphasCumprod[next]! / alphasCumprod[s]!;
      return { sample: weightedSum(Math.sqrt(ratio), atS, Math.sqrt(1 - ratio), noise()), denoised };
    },
  };
}
