/**
 * PNDM: pseudo numerical methods for diffusion models (Liu et al. 2022), as diffusers' PNDMScheduler; Stable Diffusion
 * 1's own. A step along the ODE (eq. 9) goes by a mean of the network's last four outputs (eq. 12, Adams–Bashforth).
 * They come from three steps of the pseudo Runge–Kutta method (eq. 13), of four passes each; or, with
 * `skip_prk_steps`, from methods of lower order after a first step that is taken twice ("PLMS").
 *
 * What a pass is for depends on how many came before it, not on its timestep. Where image to image leaves out the head
 * of the schedule, which holds the repeated timestep, its second pass counts as the repetition all the same, and the
 * sample stays one step behind its timestep. That is diffusers' picture, and kept.
 */
import { SettingError } from '../../errors.ts';
import { weightedSum } from '../elementwise.ts';
import { addNoise, type BetaScheduleConfig, ddpmBetas, noiseSchedule } from '../noise-schedule.ts';
import { type PredictionType, predictedNoise, predictedOriginal } from '../prediction.ts';
import type { ConfigReading } from './config.ts';
import type { Sampler } from './sampler.ts';
import { checkSteps, spacedTimesteps, type TimestepSpacing } from './timestep-spacing.ts';

export interface PndmConfig extends BetaScheduleConfig {
  readonly prediction_type: Exclude<PredictionType, 'sample'>;
  readonly timestep_spacing: TimestepSpacing;
  /** What is added to leading timesteps; 1 for Stable Diffusion. */
  readonly steps_offset: number;
  /** The last step ends at ᾱ = 1, otherwise at ᾱ_0. */
  readonly set_alpha_to_one: boolean;
  /** Begin with methods of lower order in place of Runge–Kutta's. True for Stable Diffusion. */
  readonly skip_prk_steps: boolean;
}

export const pndmDefaults: PndmConfig = {
  ...ddpmBetas,
  prediction_type: 'epsilon',
  timestep_spacing: 'leading',
  steps_offset: 0,
  set_alpha_to_one: false,
  skip_prk_steps: false,
};

export const pndmReading: ConfigReading<PndmConfig> = {
  defaults: pndmDefaults,
  supported: { prediction_type: ['epsilon', 'v_prediction'] },
};

export interface PndmOptions {
  /** There is one pass more, but for a single step; with the Runge–Kutta start nine more. */
  readonly steps: number;
}

/** Weights of the latest outputs, newest first, by how many there are (eq. 12 and its lower orders). */
const adamsBashforth = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
] as const;

/** What a pass of the network leads to: from `base` at timestep `from` to timestep `to` along `output`. */
interface Transfer {
  readonly output: Float32Array;
  readonly base: Float32Array;
  readonly from: number;
  readonly to: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. */
export function pndmSampler(config: Partial<PndmConfig>, { steps }: PndmOptions): Sampler {
  const full = { ...pndmDefaults, ...config };
  const { num_train_timesteps: length, prediction_type } = full;
  checkSteps(steps, length);
  const schedule = noiseSchedule(full);
  const { alphas, sigmas, alphasCumprod } = schedule;
  const stride = Math.floor(length / steps);
  const { start, timesteps } = pndmTimesteps(full, steps, stride);
  const finalAlphaCumprod = full.set_alpha_to_one ? 1 : alphasCumprod[0]!;

  let passes = 0;
  let history: Float32Array[] = []; // outputs, newest first
  let base: Float32Array; // where the current step began
  let sum: Float32Array; // of the weighted outputs of a Runge–Kutta step

  /** One of the four passes of a Runge–Kutta step: at its beginning, twice in its middle, at its end. */
  function rungeKutta(output: Float32Array, t: number, sample: Float32Array): Transfer {
    const stage = passes % 4;
    if (stage === 0) {
      base = sample;
      history = [output, ...history];
      sum = new Float32Array(output.length);
    }
    sum = weightedSum(1, sum, stage === 0 || stage === 3 ? 1 / 6 : 1 / 3, output);
    const to = stage % 2 === 0 ? t - Math.floor(stride / 2) : t;
    return { output: stage === 3 ? sum : output, base, from: start[passes - stage]!, to };
  }

  function multistep(output: Float32Array, t: number, sample: Float32Array): Transfer {
    if (passes === 1) {
      // The first step once more, with the mean of the outputs at its ends.
      return { output: weightedSum(0.5, output, 0.5, history[0]!), base, from: t + stride, to: t };
    }
    base = sample;
    history = [output, ...history.slice(0, 3)];
    const mean = new Float32Array(output.length);
    adamsBashforth[history.length - 1]!.forEach((weight, age) => {
      const past = history[age]!;
      for (let i = 0; i < mean.length; i++) mean[i] = mean[i]! + weight * past[i]!;
    });
    return { output: mean, base, from: t, to: t - stride };
  }

  /** Eq. 9. The mean of outputs counts as one prediction at `from`, also of v. */
  function transfer({ output, base, from, to }: Transfer): Float32Array {
    const a = alphasCumprod[from]!;
    const next = alphasCumprod[to] ?? finalAlphaCumprod;
    const epsilon = predictedNoise(prediction_type, output, base, alphas[from]!, sigmas[from]!);
    const gain = (next - a) / (a * Math.sqrt(1 - next) + Math.sqrt(a * (1 - a) * next));
    return weightedSum(Math.sqrt(next / a), base, -gain, epsilon);
  }

  return {
    timesteps,
    initNoiseSigma: 1,
    passesPerStep: 1,
    addNoise: (original, noise, i) => addNoise(schedule, original, noise, [timesteps[i]!]),
    scaleModelInput: (sample) => sample,
    step(modelOutput, i, sample) {
      const t = timesteps[i]!;
      const method = passes < start.length ? rungeKutta : multistep;
      const next = transfer(method(modelOutput, t, sample));
      passes++;
      const denoised = predictedOriginal(prediction_type, modelOutput, sample, alphas[t]!, sigmas[t]!);
      return { sample: next, denoised };
    },
  };
}

/** Of all passes, and of those for the Runge–Kutta start. */
function pndmTimesteps(
  config: PndmConfig,
  steps: number,
  stride: number,
): { start: readonly number[]; timesteps: readonly number[] } {
  const spaced = spacedTimesteps(config, steps);
  if (config.skip_prk_steps) {
    const repeated = spaced.slice(1, 2);
    return { start: [], timesteps: [...spaced.slice(0, 1), ...repeated, ...spaced.slice(1)] };
  }
  if (steps < 4) {
    throw new SettingError(
      'steps',
      'steps',
      `${steps}: the Runge-Kutta start of PNDM (skip_prk_steps is false) needs at least 4; use 4 or more`,
    );
  }
  const half = Math.floor(stride / 2);
  const start = [0, 1, 2].flatMap((n) => {
    const [begin, end] = [spaced[n]!, spaced[n + 1]!];
    return [begin, end + half, end + half, end];
  });
  return { start, timesteps: [...start, ...spaced.slice(3)] };
}
