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

const choices: SupportedValues = {
  beta_schedule: betaSchedules,
  prediction_type: predictionTypes,
  timestep_spacing: timestepSpacings,
  final_sigmas_type: finalSigmaTypes,
};

/**
 * The fields of `defaults` from `config`, missing ones and nulls replaced by their defaults.
 * @param supported fields that diffusers has and this sampler does not, with the values that change nothing
 * @throws InputError naming the field, its value and what is supported
 */
export function readConfig<C extends object>(
  name: string,
  config: SchedulerConfig,
  defaults: C,
  supported: SupportedValues = {},
): C {
  const result: Record<string, unknown> = {};
  for (const [field, fallback] of Object.entries(defaults)) {
    const value = config[field] ?? fallback;
    const expected = expectation(field, value, fallback);
    if (expected !== undefined) throw unsupported(name, field, value, expected);
    result[field] = value;
  }
  for (const [field, values] of Object.entries(supported)) {
    const value = config[field];
    if (value !== undefined && value !== null && !values.includes(value)) {
      throw unsupported(name, field, value, values.map((v) => JSON.stringify(v)).join(' or '));
    }
  }
  return result as C;
}

/** What `field` should have been, or undefined when `value` will do. */
function expectation(field: string, value: unknown, fallback: unknown): string | undefined {
  const allowed = choices[field];
  if (allowed !== undefined) return allowed.includes(value) ? undefined : allowed.join(', ');
  if (field === 'trained_betas') {
    const isList =
      Array.isArray(value) && value.length > 0 && value.every((beta) => typeof beta === 'number');
    return value === null || isList ? undefined : 'a list of numbers, or null';
  }
  const type = fallback === null ? 'number' : typeof fallback;
  return value === fallback || (typeof value === type && !Number.isNaN(value)) ? undefined : `a ${type}`;
}

/** For a value that the sampler called `name` cannot honour. */
export function unsupported(name: string, field: string, value: unknown, supported: string): InputError {
  const text = typeof value === 'number' ? String(value) : JSON.stringify(value);
  return new InputError(
    `scheduler config: ${field} ${text} is not supported by the ${name} sampler; supported: ${supported}`,
  );
}
