/**
 * Multistep latent consistency sampling (Luo et al. 2023, algorithm 3): each step jumps to the clean latents
 * and back up to the next timestep with fresh noise. As diffusers' LCMScheduler, so that published models and
 * their pictures can be compared.
 */
import { boundaryScalings } from '../consistency.ts';
import { weightedSum } from '../elementwise.ts';
import {
  addNoise,
  type NoiseScheduleConfig,
  noiseSchedule,
  stableDiffusionSchedule,
} from '../noise-schedule.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import { skippingGrid } from '../skipping-grid.ts';
import { type ClippingConfig, clip, noClipping } from './clipping.ts';
import { type ConsistencyTimestepOptions, consistencyTimesteps } from './consistency-timesteps.ts';
import type { Sampler } from './sampler.ts';

export interface LcmConfig extends NoiseScheduleConfig, ClippingConfig {
  readonly prediction_type: PredictionType;
  /** Size of the grid that the model was distilled on. */
  readonly original_inference_steps: number;
  /** s in the boundary scalings. */
  readonly timestep_scaling: number;
}

export const lcmDefaults: LcmConfig = {
  ...stableDiffusionSchedule,
  ...noClipping,
  prediction_type: 'epsilon',
  original_inference_steps: 50,
  timestep_scaling: 10,
};

/** One run of the LCM sampler. */
export interface LcmOptions extends ConsistencyTimestepOptions {
  /** In place of the configuration's original_inference_steps. */
  readonly originalSteps?: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/** Throws UsageError for steps or timesteps that the model was not made for. */
export function lcmSampler(config: Partial<LcmConfig>, options: LcmOptions): Sampler {
  const full = { ...lcmDefaults, ...config };
  const { num_train_timesteps, prediction_type, timestep_scaling } = full;
  const { originalSteps = full.original_inference_steps, batchSize = 1 } = options;
  const grid = skippingGrid(originalSteps, num_train_timesteps);
  const { timesteps, lastStep } = consistencyTimesteps(options, grid.timesteps, num_train_timesteps);
  const schedule = noiseSchedule(full);

  return {
    timesteps,
    initNoiseSigma: 1,
    passesPerStep: 1,
    addNoise: (original, noise, i) => addNoise(schedule, original, noise, [timesteps[i]!]),
    scaleModelInput: (sample) => sample,
    step(modelOutput, i, sample, noise) {
      const t = timesteps[i]!;
      const [alpha, sigma] = [schedule.alphas[t]!, schedule.sigmas[t]!];
      const original = clip(
        full,
        predictedOriginal(prediction_type, modelOutput, sample, alpha, sigma),
        batchSize,
      );
      const { cSkip, cOut } = boundaryScalings(t, timestep_scaling);
      const denoised = weightedSum(cOut, original, cSkip, sample);
      if (i === lastStep) return { sample: denoised, denoised };
      const next = timesteps[i + 1] ?? t;
      return { sample: addNoise(schedule, denoised, noise(), [next]), denoised };
    },
  };
}
