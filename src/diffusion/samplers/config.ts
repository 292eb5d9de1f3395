/** Reading a diffusers scheduler_config.json: what a sampler needs, checked; what it cannot honour, refused. */
import { InputError } from '../../errors.ts';
import { shown } from '../../messages.ts';
import { integerWithin, isIntegerWithin, isWithin, numberWithin, type Range } from '../../range.ts';
import { betaSchedules } from '../noise-schedule.ts';
import { predictionTypes } from '../prediction.ts';
import { finalSigmaTypes } from './sigmas.ts';
import { timestepSpacings } from './timestep-spacing.ts';

/** A parsed scheduler_config.json. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** Values that a field may take. */
export type SupportedValues = Readonly<Record<string, readonly unknown[]>>;

/** What a sampler reads of a configuration. */
export interface ConfigReading<C extends object> {
  /** Its fields, with what they are where a configuration does not say. */
  readonly defaults: C;
  /** For fields of which it takes only some values, and for those of diffusers' class that it has not at all. */
  readonly supported?: SupportedValues;
  /** What stands in other classes' configurations, and what diffusers' `from_config` makes of it. */
  readonly foreign?: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

const choices: SupportedValues = {
  beta_schedule: betaSchedules,
  prediction_type: predictionTypes,
  timestep_spacing: timestepSpacings,
  final_sigmas_type: finalSigmaTypes,
};

/** Training timesteps: 1000 nearly everywhere. Tables have an entry for each. */
const LONGEST = 10_000;
const integers: Readonly<Record<string, Range>> = {
  num_train_timesteps: { least: 2, most: LONGEST },
  original_inference_steps: { least: 1, most: LONGEST },
  steps_offset: { least: 0, most: LONGEST },
};

const FINITE: Range = { least: -Number.MAX_VALUE, most: Number.MAX_VALUE };
/** Of every step the variance of the noise: with 0 or less there is none to take away, with more than 1 no picture. */
const BETAS: Range = { least: 1e-9, most: 1 };
/** Noise levels, in units of the data, and what latents are clamped to: 0.002 to 700. */
const LEVELS: Range = { least: 1e-9, most: 1e6 };
const numbers: Readonly<Record<string, Range>> = {
  beta_start: BETAS,
  beta_end: BETAS,
  sigma_min: LEVELS,
  sigma_max: LEVELS,
  sigma_data: LEVELS,
  timestep_scaling: LEVELS,
  clip_sample_range: LEVELS,
  sample_max_value: LEVELS,
  dynamic_thresholding_ratio: { least: 0, most: 1 },
};

/**
 * The fields that a sampler has from `config`, missing ones and nulls replaced by their defaults. Fields of other classes
 * are not looked at, as in diffusers' `from_config`.
 * @throws InputError naming the field, its value and what is supported
 */
export function readConfig<C extends object>(
  name: string,
  config: SchedulerConfig,
  { defaults, supported = {}, foreign = {} }: ConfigReading<C>,
): C {
  const fieldOf = (field: string) => {
    const value = config[field];
    const meanings = foreign[field];
    return typeof value === 'string' && meanings && Object.hasOwn(meanings, value) ? meanings[value] : value;
  };
  const result: Record<string, unknown> = {};
  for (const [field, fallback] of Object.entries(defaults)) {
    const value = fieldOf(field) ?? fallback;
    const expected = expectation(field, value, fallback, supported[field] ?? choices[field]);
    if (expected !== undefined) throw unsupported(name, field, value, expected);
    result[field] = value;
  }
  for (const [field, values] of Object.entries(supported)) {
    const value = fieldOf(field);
    if (!Object.hasOwn(defaults, field) && value !== undefined && value !== null && !values.includes(value)) {
      throw unsupported(name, field, value, listed(values));
    }
  }
  return result as C;
}

/** What `field` should have been, or undefined when `value` will do. */
function expectation(
  field: string,
  value: unknown,
  fallback: unknown,
  allowed: readonly unknown[] | undefined,
): string | undefined {
  if (allowed !== undefined) return allowed.includes(value) ? undefined : listed(allowed);
  if (value === fallback) return undefined;
  if (field === 'trained_betas') {
    return areNumbers(value, BETAS)
      ? undefined
      : `a list of numbers, each from ${BETAS.least} to ${BETAS.most}, or null`;
  }
  if (Array.isArray(fallback)) return areNumbers(value, FINITE) ? undefined : 'a list of numbers';
  if (Object.hasOwn(integers, field)) {
    return isIntegerWithin(value, integers[field]!) ? undefined : integerWithin(integers[field]!);
  }
  const type = fallback === null ? 'number' : typeof fallback;
  if (type !== 'number') return typeof value === type ? undefined : `a ${type}`;
  const range = Object.hasOwn(numbers, field) ? numbers[field]! : FINITE;
  return isWithin(value, range) ? undefined : range === FINITE ? 'a number' : numberWithin(range);
}

function areNumbers(value: unknown, range: Range): boolean {
  return Array.isArray(value) && value.length <= LONGEST && value.every((item) => isWithin(item, range));
}

function listed(values: readonly unknown[]): string {
  return values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(', ');
}

/** For a value that the sampler called `name` cannot honour. */
export function unsupported(name: string, field: string, value: unknown, supported: string): InputError {
  return new InputError(
    `scheduler config: ${field} ${shown(value)} is not supported by the ${name} sampler; supported: ${supported}`,
    { code: 'unsupported' },
  );
}
