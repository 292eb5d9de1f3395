/**
 * What the solvers of the ODE in σ̃ = σ / α share (Karras et al. 2022): the timesteps and noise levels that diffusers
 * chooses for them, and the sample, which is x / α, so that its noise has the standard deviation σ̃.
 */
import { weightedSum } from '../elementwise.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import type { Sampler } from './sampler.ts';
import { type SigmaSpreadConfig, sigmaAt, spreadSigmas, timestepAt } from './sigmas.ts';
import {
  leadingTimesteps,
  linspaceDescending,
  type TimestepSpacingConfig,
  trailingTimesteps,
} from './timestep-spacing.ts';

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
  }: Pick<TimestepSpacingConfig, 'timestep_spacing'> & { readonly prediction_type: PredictionType },
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

/**
 * The timesteps of `steps` steps and their noise levels: those of evenly spread timesteps, or levels spread between the
 * ends of those, with the timesteps at which the network was trained to see them. table: σ̃ of every timestep.
 */
export function timestepsAndLevels(
  config: TimestepSpacingConfig & SigmaSpreadConfig,
  steps: number,
  table: Float32Array,
): { readonly timesteps: readonly number[]; readonly levels: readonly number[] } {
  const spaced = sigmaSpaceTimesteps(config, steps);
  const levels = spaced.map((t) => sigmaAt(table, t));
  const spread = spreadSigmas(config, { min: levels.at(-1)!, max: levels[0]!, count: steps });
  if (spread === undefined) return { timesteps: spaced, levels };
  return { timesteps: spread.map(timestepAt(table)).map(Math.fround), levels: spread };
}

/** Descending; with `linspace` not integers. */
export function sigmaSpaceTimesteps(config: TimestepSpacingConfig, steps: number): number[] {
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
