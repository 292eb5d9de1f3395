/**
 * The three ways in which diffusers spreads a sampler's timesteps over the training schedule
 * (Lin et al. 2023, table 2).
 */
import { SettingError } from '../../errors.ts';

export const timestepSpacings = ['leading', 'trailing', 'linspace'] as const;
export type TimestepSpacing = (typeof timestepSpacings)[number];

/** `count` numbers from 0 to `last`, ends included, descending. A single one is 0. */
export function linspaceDescending(last: number, count: number): number[] {
  const step = count > 1 ? last / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => (i === 0 && count > 1 ? last : (count - 1 - i) * step));
}

/** `count` multiples of a whole step from 0 on, plus `offset`, descending. */
export function leadingTimesteps(step: number, count: number, offset: number): number[] {
  return Array.from({ length: count }, (_, i) => (count - 1 - i) * step + offset);
}

/**
 * From `from` − 1 down in steps of `length` / `count`, so that the end of the schedule is visited; `count` of
 * them when `from` is `length`. (For some counts, 61 of 1000 is one, diffusers' floating-point arange yields
 * one timestep more, −1, and then reads its tables from the wrong end. Not reproduced.)
 */
export function trailingTimesteps(from: number, length: number, count: number): number[] {
  const step = length / count;
  const difference = from - step - from; // as numpy's arange rounds it
  const visited = Math.ceil(from / step - 1e-9);
  return Array.from({ length: visited }, (_, i) => roundHalfToEven(from + i * difference) - 1);
}

export interface TimestepSpacingConfig {
  readonly num_train_timesteps: number;
  readonly timestep_spacing: TimestepSpacing;
  /** What is added to leading timesteps. */
  readonly steps_offset: number;
}

/** `steps` whole timesteps, descending. Throws UsageError where they begin beyond the end of the schedule. */
export function spacedTimesteps(config: TimestepSpacingConfig, steps: number): number[] {
  const { num_train_timesteps: length, timestep_spacing, steps_offset } = config;
  if (timestep_spacing === 'linspace') return linspaceDescending(length - 1, steps).map(roundHalfToEven);
  if (timestep_spacing === 'trailing') return trailingTimesteps(length, length, steps);
  const timesteps = leadingTimesteps(Math.floor(length / steps), steps, steps_offset);
  if (timesteps[0]! >= length) {
    throw new SettingError(
      'steps',
      'steps',
      `${steps}: with steps_offset ${steps_offset} they begin at timestep ${timesteps[0]}, ` +
        `but the last one is ${length - 1}; use fewer steps`,
    );
  }
  return timesteps;
}

/** numpy's and Python's rounding. */
export function roundHalfToEven(x: number): number {
  const rounded = Math.round(x);
  return rounded - x === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** Throws UsageError unless `steps` is an integer from 1 to the length of the training schedule. */
export function checkSteps(steps: number, numTrainTimesteps: number): void {
  if (!Number.isInteger(steps) || steps < 1 || steps > numTrainTimesteps) {
    throw new SettingError(
      'steps',
      'steps',
      `${steps}: the model was trained on ${numTrainTimesteps} timesteps; use 1 to ${numTrainTimesteps}`,
    );
  }
}
