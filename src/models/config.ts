/** Reading a model's config.json: every field is checked, none is passed over in silence. */
import { InputError } from '../errors.ts';

/** Reads the fields of one config file by type. Each reader takes the name, and the value where it is absent. */
export interface ConfigFields {
  integer(name: string, fallback: number): number;
  number(name: string, fallback: number): number;
  boolean(name: string, fallback: boolean): boolean;
  optionalInteger(name: string): number | null;
  optionalNumber(name: string): number | null;
  choice<T extends string>(name: string, supported: readonly T[], fallback: T): T;
  /** As `choice`, for fields where null is a value of its own (and not the same as absent). */
  choiceOrNull<T extends string>(name: string, supported: readonly T[], fallback: T | null): T | null;
  integers(name: string, fallback: readonly number[]): readonly number[];
  choices<T extends string>(name: string, supported: readonly T[], fallback: readonly T[]): readonly T[];
  /** A list with one integer per level, or one integer for all of them. */
  integerPerLevel(name: string, levels: number, fallback: number): readonly number[];
  /** The model is built for these values only, and for the field being absent; null is as good as false. */
  only(name: string, ...supported: readonly (string | number | boolean | null)[]): void;
  /** The field changes nothing that is computed here. */
  ignore(...names: readonly string[]): void;
  /** An error that names the field, for rules that join several fields. */
  fail(name: string, expected: string): never;
  /** To be called last: an unknown field that is switched on is an error. */
  finish(): void;
}

/** Throws InputError, naming `model`, when `json` is not an object. */
export function configFields(model: string, json: unknown): ConfigFields {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) {
    throw new InputError(`the ${model} config must be a JSON object, got ${show(json)}`);
  }
  const fields = new Map<string, unknown>(Object.entries(json));
  const known = new Set<string>();
  const get = (name: string): unknown => {
    known.add(name);
    return fields.get(name);
  };
  const fail = (name: string, expected: string): never => {
    throw new InputError(`${model} config: ${name} is ${show(fields.get(name))}; expected ${expected}`);
  };
  const oneOf = (values: readonly unknown[]) =>
    `${values.length > 1 ? 'one of ' : ''}${values.map(show).join(', ')}`;
  const isCount = (value: unknown): value is number => Number.isInteger(value) && (value as number) > 0;

  return {
    integer(name, fallback) {
      const value = get(name) ?? fallback;
      return isCount(value) ? value : fail(name, 'a positive integer');
    },
    number(name, fallback) {
      const value = get(name) ?? fallback;
      return typeof value === 'number' ? value : fail(name, 'a number');
    },
    boolean(name, fallback) {
      const value = get(name) ?? fallback;
      return typeof value === 'boolean' ? value : fail(name, 'true or false');
    },
    optionalInteger(name) {
      const value = get(name) ?? null;
      return value === null || isCount(value) ? value : fail(name, 'a positive integer or null');
    },
    optionalNumber(name) {
      const value = get(name) ?? null;
      return value === null || typeof value === 'number' ? value : fail(name, 'a number or null');
    },
    choice(name, supported, fallback) {
      const value = get(name) ?? fallback;
      return supported.find((candidate) => candidate === value) ?? fail(name, oneOf(supported));
    },
    choiceOrNull(name, supported, fallback) {
      const value = get(name);
      if (value === undefined) return fallback;
      if (value === null) return null;
      return supported.find((candidate) => candidate === value) ?? fail(name, oneOf([...supported, null]));
    },
    integers(name, fallback) {
      const value = get(name) ?? fallback;
      const valid = Array.isArray(value) && value.length > 0 && value.every(isCount);
      return valid ? (value as number[]) : fail(name, 'a list of positive integers');
    },
    choices(name, supported, fallback) {
      const value = get(name) ?? fallback;
      if (!Array.isArray(value) || !value.every((entry) => supported.includes(entry))) {
        fail(name, `a list with entries from ${supported.map(show).join(', ')}`);
      }
      return value as typeof fallback;
    },
    integerPerLevel(name, levels, fallback) {
      const value = get(name) ?? fallback;
      const list: unknown[] = Array.isArray(value) ? value : new Array(levels).fill(value);
      if (list.length === levels && list.every(isCount)) return list;
      return fail(name, `a positive integer, or a list of ${levels}, one for each of block_out_channels`);
    },
    only(name, ...supported) {
      const value = get(name);
      const off = value === undefined || (value === null && supported.includes(false));
      if (!off && !supported.some((candidate) => candidate === value)) {
        fail(name, `${oneOf(supported)}, which is what is supported`);
      }
    },
    ignore(...names) {
      for (const name of names) known.add(name);
    },
    fail,
    finish() {
      for (const [name, value] of fields) {
        if (known.has(name) || name.startsWith('_') || value === null || value === false) continue;
        fail(name, 'no such field: it is unknown here, so a model that needs it would come out wrong');
      }
    },
  };
}

function show(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value);
}
