/** Reading a diffusers scheduler_config.json: what a sampler needs, checked; what it cannot honour, refused. */
import { InputError } from '../../errors.ts';
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
    return typeof value === 'string' ? (foreign[field]?.[value] ?? value) : value;
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
    if (!(field in defaults) && value !== undefined && value !== null && !values.includes(value)) {
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
  if (field === 'trained_betas') {
    return value === null || areNumbers(value) ? undefined : 'a list of numbers, or null';
  }
  if (Array.isArray(fallback)) return areNumbers(value) ? undefined : 'a list of numbers';
  const type = fallback === null ? 'number' : typeof fallback;
  return value === fallback || (typeof value === type && !Number.isNaN(value)) ? undefined : `a ${type}`;
}

function areNumbers(value: unknown): boolean {
  return Array.isArray(value) && value.every((item) => typeof item === 'number');
}

function listed(values: readonly unknown[]): string {
  return values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(', ');
}

/** For a value that the sampler called `name` cannot honour. */
export function unsupported(name: string, field: string, value: unknown, supported: string): InputError {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return new InputError(
    `scheduler config: ${field} ${text} is not supported by the ${name} sampler; supported: ${supported}`,
  );
}
