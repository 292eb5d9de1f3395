/**
 * Settings of trainings: what each is for, its type, its range and its default, told once. From it follow the types of
 * the code, the check of a settings file, and the tables of docs/training.md.
 */
import { z } from 'zod';
import { InputError, SettingError } from '../../errors.ts';
import { isJsonObject, type JsonObject } from '../../files/json.ts';
import { brief, shown } from '../../messages.ts';
import { nearest } from '../../nearest.ts';

interface Limits {
  /** The smallest and the largest value. */
  readonly min?: number;
  readonly max?: number;
  /** Values that are themselves too small or too large. */
  readonly above?: number;
  readonly below?: number;
}

/** A whole number. `words` say what the setting is for, as with all of the following. */
export function integer(words: string, limits: Limits = {}): z.ZodNumber {
  return limited((error) => z.int(error), 'a whole number', limits).describe(words);
}

/** A finite number. */
export function number(words: string, limits: Limits = {}): z.ZodNumber {
  return limited((error) => z.number(error), 'a number', limits).describe(words);
}

/** A number from 0 to 1. */
export function fraction(words: string): z.ZodNumber {
  return number(words, { min: 0, max: 1 });
}

export function boolean(words: string): z.ZodBoolean {
  return z.boolean({ error: 'true or false' }).describe(words);
}

/** A text that is not empty, such as the path of a folder. */
export function text(words: string): z.ZodString {
  const error = { error: `a text: ${words}` };
  return z.string(error).min(1, error).describe(words);
}

/** One of a few words. */
export function oneOf<const T extends readonly string[]>(words: string, values: T) {
  const quoted = values.map((value) => `"${value}"`);
  const error = [quoted.slice(0, -1).join(', '), quoted.at(-1)].filter(Boolean).join(' or ');
  return z.enum(values, { error }).describe(words);
}

/** Settings that belong together; each that is not given has its default. */
export function group<T extends z.core.$ZodLooseShape>(words: string, shape: T) {
  return z.strictObject(shape, { error: groupError(Object.keys(shape)) }).describe(words);
}

/** `other`: what else there may be in place of the group. */
export function groupError(names: readonly string[], other?: string): z.core.$ZodErrorMap {
  return (issue) => {
    if (issue.code === 'invalid_type') {
      return `${other === undefined ? '' : `${other}, or `}an object with ${names.join(', ')}`;
    }
    if (issue.code !== 'unrecognized_keys') return undefined;
    const near = nearest(issue.keys[0]!, names);
    return `there are ${names.join(', ')}${near ? `; did you mean "${near}"?` : ''}`;
  };
}

/** The fields of a network's configuration, laid over `defaults` and checked by `read`. */
export function networkConfig<T extends object>(words: string, defaults: T, read: (json: unknown) => T) {
  return z
    .record(z.string(), z.unknown(), { error: 'an object with fields of a diffusers configuration' })
    .transform((given, context): T => {
      try {
        return read({ ...defaults, ...given });
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        context.addIssue({ code: 'custom', message: error.message });
        return z.NEVER;
      }
    })
    .describe(words)
    .prefault({});
}

/**
 * The settings with the given ones laid over their defaults. Throws SettingError for one that does not exist, is missing, or
 * is not what it has to be.
 */
export function readSettings<T extends z.ZodType>(schema: T, given: unknown): z.output<T> {
  const result = schema.safeParse(given, { reportInput: true });
  if (result.success) return result.data;
  const issue = result.error.issues[0]!;
  const unknown = issue.code === 'unrecognized_keys' ? issue.keys.slice(0, 1) : [];
  throw new SettingError([...issue.path, ...unknown].join('.'), '', describeIssue(issue));
}

/** `over` laid over `under`, objects field by field; what is undefined changes nothing. */
export function overlay(under: JsonObject, over: JsonObject): JsonObject {
  const entries = new Map(Object.entries(under));
  for (const [name, value] of Object.entries(over)) {
    if (value === undefined) continue;
    const known = entries.get(name);
    entries.set(name, isJsonObject(known) && isJsonObject(value) ? overlay(known, value) : value);
  }
  // Unlike an assignment, this makes a field of whatever name.
  return Object.fromEntries(entries);
}

function limited(
  create: (error: { error: string }) => z.ZodNumber,
  kind: string,
  { min, max, above, below }: Limits,
): z.ZodNumber {
  const lower = min !== undefined ? ` from ${min}` : above !== undefined ? ` above ${above}` : '';
  const between = lower === '' ? '' : min !== undefined && max !== undefined ? '' : ' and';
  const upper =
    max !== undefined ? `${between} to ${max}` : below !== undefined ? `${between} below ${below}` : '';
  const error = { error: `${kind}${lower}${upper === '' && min !== undefined ? ' on' : upper}` };
  let schema = create(error);
  if (min !== undefined) schema = schema.min(min, error);
  if (max !== undefined) schema = schema.max(max, error);
  if (above !== undefined) schema = schema.gt(above, error);
  if (below !== undefined) schema = schema.lt(below, error);
  return schema;
}

function describeIssue(issue: z.core.$ZodIssue): string {
  const path = issue.path.join('.');
  if (issue.code === 'unrecognized_keys') {
    const name = [...issue.path, issue.keys[0]].join('.');
    return `there is no training setting "${brief(name)}"; ${issue.message}`;
  }
  if (issue.code === 'custom') return `the setting "${path}": ${issue.message}`;
  if (issue.input === undefined) return `the setting "${path}" is missing; expected ${issue.message}`;
  return `the setting "${path}" is ${shown(issue.input)}; expected ${issue.message}`;
}
