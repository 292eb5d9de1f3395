/** Readers for the values of options. What is wrong is said in full: expected, found, what to do. */
import { SettingError } from '../../errors.ts';
import { nearest } from '../../nearest.ts';
import { settingOf } from './flag-names.ts';

export interface Range {
  readonly min?: number;
  readonly max?: number;
  /** Why no more, and what to do in place of it. */
  readonly because?: string;
}

/** A whole number, written in decimal digits. */
export function integer(option: string, { min, max = Number.MAX_SAFE_INTEGER, because }: Range = {}) {
  return (text: string): number => {
    const value = Number(text);
    const inRange = Number.isSafeInteger(value) && value >= (min ?? -max) && value <= max;
    if (!/^[+-]?\d+$/.test(text) || !inRange)
      throw wrong(option, text, 'a whole number', { min, max, because });
    return value;
  };
}

/** A finite number. */
export function number(option: string, range: Range = {}) {
  return (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    const inRange = value >= (range.min ?? -Number.MAX_VALUE) && value <= (range.max ?? Number.MAX_VALUE);
    if (!inRange) throw wrong(option, text, 'a number', range);
    return value;
  };
}

/** One of a few words; a near miss gets a suggestion. */
export function oneOf<T extends string>(option: string, values: readonly T[]) {
  return (text: string): T => {
    const found = values.find((value) => value === text);
    if (found !== undefined) return found;
    const near = nearest(text, values);
    const hint = near ? `; did you mean ${near}?` : '';
    throw optionError(option, `${text}: expected one of ${values.join(', ')}${hint}`);
  };
}

function optionError(option: string, about: string): SettingError {
  return new SettingError(settingOf(option), option, about);
}

function wrong(option: string, text: string, kind: string, { min, max, because }: Range): SettingError {
  const bounded = max !== undefined && max !== Number.MAX_SAFE_INTEGER;
  const range = [
    min === undefined ? '' : bounded ? ` from ${min}` : `, ${min} or more`,
    bounded ? (min === undefined ? ` up to ${max}` : ` to ${max}`) : '',
    because === undefined ? '' : `; ${because}`,
  ].join('');
  return optionError(option, `${text === '' ? '""' : text}: expected ${kind}${range}`);
}
