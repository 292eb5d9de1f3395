/**
 * DPM-Solver-2 (Lu et al. 2022a, algorithm 1) as Karras et al.'s ODE has it in σ̃ = σ / α, as diffusers'
 * KDPM2DiscreteScheduler ("DPM2"): the midpoint method, with the middle of a step taken in log σ̃. Two passes a step, but
 * for the last, which ends at no noise.
 */
import { weightedSum } from '../elementwise.ts';
import { type BetaScheduleConfig, ddpmBetas, noiseSchedule } from '../noise-schedule.ts';
import type { PredictionType } from '../prediction.ts';
import type { ConfigReading } from './config.ts';
import type { Sampler } from './sampler.ts';
import { sigmaSpace, timestepsAndLevels } from './sigma-space.ts';
import { noSigmaSpread, type SigmaSpreadConfig, sigmaTable, timestepAt } from './sigmas.ts';
import { checkSteps, roundHalfToEven, type TimestepSpacing } from './timestep-spacing.ts';

export interface Kdpm2Config extends BetaScheduleConfig, SigmaSpreadConfig {
  readonly prediction_type: Exclude<PredictionType, 'sample'>;
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
}

export const kdpm2Defaults: Kdpm2Config = {
  ...ddpmBetas,
  ...noSigmaSpread,
  beta_start: 0.00085,
  beta_end: 0.012,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
};

export const kdpm2Reading: ConfigReading<Kdpm2Config> = {
  defaults: kdpm2Defaults,
  supported: { prediction_type: ['epsilon', 'v_prediction'] },
};

export interface Kdpm2Options {
  /** There is one pass less than twice as many. */
  readonly steps: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. */
export function kdpm2Sampler(config: Partial<Kdpm2Config>, { steps }: Kdpm2Options): Sampler {
  const full = { ...kdpm2Defaults, ...config };
  checkSteps(steps, full.num_train_timesteps);
  const table = sigmaTable(noiseSchedule(full));
  const { timesteps, levels } = timestepsAndLevels(full, steps, table);
  const round = full.use_karras_sigmas ? roundHalfToEven : (t: number) => t;
  const ends = Float32Array.of(...levels.slice(1), 0);
  const middles = Float32Array.from(ends, (end, n) => Math.sqrt(end * Math.fround(levels[n]!)));

  // Of the passes 2n and 2n + 1: what the network sees, and where the pass ends.
  const alternate = <T>(first: (n: number) => T, second: (n: number) => T) =>
    levels.flatMap((_, n) => (n === steps - 1 ? [first(n)] : [first(n), second(n)]));
  const seen = Float32Array.from(
    alternate(
      (n) => levels[n]!,
      (n) => middles[n]!,
    ),
  );
  const target = alternate(
    (n) => middles[n]!,
    (n) => ends[n]!,
  );
  const seenAt = timestepAt(table);
  const { denoised: denoise, ...space } = sigmaSpace(seen, full);
  let begun: Float32Array; // the sample of the pass 2n

  return {
    timesteps: alternate(
      (n) => round(timesteps[n]!),
      (n) => Math.fround(seenAt(middles[n]!)),
    ),
    passesPerStep: 2,
    ...space,
    // diffusers puts known parts back with the noise of the end of the step also in its middle.
    addNoise: (original, noise, i) =>
      weightedSum(1, original, i % 2 === 0 ? seen[i]! : ends[(i - 1) / 2]!, noise),
    step(modelOutput, i, sample) {
      const denoised = denoise(modelOutput, i, sample);
      if (i % 2 === 0) begun = sample;
      // x + (σ̃' − σ̃) d with the slope d = (y − x̂_0) / σ̃_y where the network was asked
      const step = (target[i]! - seen[i - (i % 2)]!) / seen[i]!;
      const slope = weightedSum(1, sample, -1, denoised);
      return { sample: weightedSum(1, begun, step, slope), denoised };
    },
  };
}
