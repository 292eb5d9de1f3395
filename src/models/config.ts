/** Reading a model's config.json: every field is checked, none is passed over in silence, no number is without bounds. */
import { InputError } from '../errors.ts';
import { isJsonObject } from '../files/json.ts';
import { brief, shown } from '../messages.ts';
import { integerWithin, isIntegerWithin, isWithin, numberWithin, type Range } from '../range.ts';
import { LAYERS, LEVELS, MOST_BLOCKS } from './limits.ts';

/** Reads the fields of one config file by type. Each reader takes the name, and the value where it is absent. */
export interface ConfigFields {
  /** Whether the field is there and not null. */
  isGiven(name: string): boolean;
  integer(name: string, fallback: number, range: Range): number;
  number(name: string, fallback: number, range: Range): number;
  boolean(name: string, fallback: boolean): boolean;
  optionalInteger(name: string, range: Range): number | null;
  optionalNumber(name: string, range: Range): number | null;
  choice<T extends string>(name: string, supported: readonly T[], fallback: T): T;
  /** As `choice`, for fields where null is a value of its own (and not the same as absent). */
  choiceOrNull<T extends string>(name: string, supported: readonly T[], fallback: T | null): T | null;
  /** One integer for each level of a network. */
  integers(name: string, fallback: readonly number[], range: Range): readonly number[];
  choices<T extends string>(name: string, supported: readonly T[], fallback: readonly T[]): readonly T[];
  /** A list with one integer per level, or one integer for all of them. */
  integerPerLevel(name: string, levels: number, fallback: number, range: Range): readonly number[];
  /** As `integerPerLevel`; an entry may be a list of its own, with one integer per block of the level. */
  integersPerLevel(
    name: string,
    levels: number,
    fallback: number,
    range: Range,
  ): readonly (number | readonly number[])[];
  /** One integer for both sides, or a height and a width. */
  optionalSize(name: string, range: Range): number | readonly [height: number, width: number] | null;
  /** The model is built for these values only, and for the field being absent; null is as good as false. */
  only(name: string, ...supported: readonly (string | number | boolean | null)[]): void;
  /** As `only`, for a field that may be a list with the value for each level. */
  onlyPerLevel(name: string, levels: number, supported: string | number | boolean): void;
  /** The field changes nothing that is computed here. */
  ignore(...names: readonly string[]): void;
  /** Refuses a network of more blocks than anybody has; `name` is the field that asks for them. */
  blocks(name: string, count: number): void;
  /** An error that names the field, for rules that join several fields. */
  fail(name: string, expected: string): never;
  /** To be called last: an unknown field that is switched on is an error. */
  finish(): void;
}

/** Throws InputError, naming `model`, when `json` is not an object. */
export function configFields(model: string, json: unknown): ConfigFields {
  if (!isJsonObject(json)) {
    throw new InputError(`the ${model} config must be a JSON object, got ${shown(json)}`);
  }
  const fields = new Map<string, unknown>(Object.entries(json));
  const known = new Set<string>();
  const get = (name: string): unknown => {
    known.add(name);
    return fields.get(name);
  };
  const fail = (name: string, expected: string): never => {
    throw new InputError(
      `${model} config: ${brief(name)} is ${shown(fields.get(name))}; expected ${expected}`,
    );
  };
  const oneOf = (values: readonly unknown[]) =>
    `${values.length > 1 ? 'one of ' : ''}${values.map(shown).join(', ')}`;

  return {
    isGiven: (name) => (get(name) ?? null) !== null,
    integer(name, fallback, range) {
      const value = get(name) ?? fallback;
      return isIntegerWithin(value, range) ? value : fail(name, integerWithin(range));
    },
    number(name, fallback, range) {
      const value = get(name) ?? fallback;
      return isWithin(value, range) ? value : fail(name, numberWithin(range));
    },
    boolean(name, fallback) {
      const value = get(name) ?? fallback;
      return typeof value === 'boolean' ? value : fail(name, 'true or false');
    },
    optionalInteger(name, range) {
      const value = get(name) ?? null;
      return value === null || isIntegerWithin(value, range)
        ? value
        : fail(name, `${integerWithin(range)}, or null`);
    },
    optionalNumber(name, range) {
      const value = get(name) ?? null;
      return value === null || isWithin(value, range) ? value : fail(name, `${numberWithin(range)}, or null`);
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
    integers(name, fallback, range) {
      const value = get(name) ?? fallback;
      const valid =
        Array.isArray(value) &&
        isWithin(value.length, LEVELS) &&
        value.every((entry): entry is number => isIntegerWithin(entry, range));
      return valid ? value : fail(name, `a list of 1 to ${LEVELS.most}, each ${integerWithin(range)}`);
    },
    choices(name, supported, fallback) {
      const value = get(name) ?? fallback;
      const known = Array.isArray(value) && value.length <= LEVELS.most;
      if (!known || !value.every((entry) => supported.includes(entry))) {
        fail(name, `a list of 1 to ${LEVELS.most} entries from ${supported.map(shown).join(', ')}`);
      }
      return value as typeof fallback;
    },
    integerPerLevel(name, levels, fallback, range) {
      const value = get(name) ?? fallback;
      const list: unknown[] = Array.isArray(value) ? value : new Array(levels).fill(value);
      if (list.length === levels && list.every((entry): entry is number => isIntegerWithin(entry, range)))
        return list;
      return fail(
        name,
        `${integerWithin(range)}, or a list of ${levels}, one for each of block_out_channels`,
      );
    },
    integersPerLevel(name, levels, fallback, range) {
      const value = get(name) ?? fallback;
      const list: unknown[] = Array.isArray(value) ? value : new Array(levels).fill(value);
      const isEntry = (entry: unknown): entry is number | readonly number[] =>
        isIntegerWithin(entry, range) ||
        (Array.isArray(entry) &&
          isWithin(entry.length, LAYERS) &&
          entry.every((one) => isIntegerWithin(one, range)));
      if (list.length === levels && list.every(isEntry)) return list;
      return fail(
        name,
        `${integerWithin(range)}, or a list of ${levels} such numbers, or lists of them, one for each of block_out_channels`,
      );
    },
    optionalSize(name, range) {
      const value = get(name) ?? null;
      if (value === null || isIntegerWithin(value, range)) return value;
      const isPair = Array.isArray(value) && value.length === 2;
      if (isPair && value.every((side) => isIntegerWithin(side, range)))
        return value as unknown as readonly [number, number];
      return fail(name, `${integerWithin(range)}, a list of two, height and width, or null`);
    },
    onlyPerLevel(name, levels, supported) {
      const value = get(name);
      const list = Array.isArray(value) && value.length === levels ? value : undefined;
      if (!list?.every((entry) => entry === supported)) this.only(name, supported);
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
    blocks(name, count) {
      if (count <= MOST_BLOCKS) return;
      fail(name, `fewer: the network would have ${count} blocks, and at most ${MOST_BLOCKS} are supported`);
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
