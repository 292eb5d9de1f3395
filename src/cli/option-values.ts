/** Readers for the values of options. What is wrong is said in full: expected, found, what to do. */
import { UsageError } from '../errors.ts';

export interface Range {
  readonly min?: number;
  readonly max?: number;
}

/** A whole number, written in decimal digits. */
export function integer(option: string, { min, max = Number.MAX_SAFE_INTEGER }: Range = {}) {
  return (text: string): number => {
    const value = Number(text);
    const inRange = Number.isSafeInteger(value) && value >= (min ?? -max) && value <= max;
    if (!/^[+-]?\d+$/.test(text) || !inRange)
      throw new UsageError(wrong(option, text, 'a whole number', { min, max }));
    return value;
  };
}

/** A finite number. */
export function number(option: string, range: Range = {}) {
  return (text: string): number => {
    const value = text.trim() === '' ? Number.NaN : Number(text);
    const inRange = value >= (range.min ?? -Number.MAX_VALUE) && value <= (range.max ?? Number.MAX_VALUE);
    if (!inRange) throw new UsageError(wrong(option, text, 'a number', range));
    return value;
  };
}

/** One of a few words; a near miss gets a suggestion. */
export function oneOf<T extends string>(option: string, values: readonly T[]) {
  return (text: string): T => {
    const found = values.find((value) => value === text);
    if (found !== undefined) return found;
    const near = nearest(text, values);
    throw new UsageError(
      `${option} ${text}: expected one of ${values.join(', ')}${near ? `; did you mean ${near}?` : ''}`,
    );
  };
}

/** The candidate with the fewest typing errors, if there are few. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const scored = candidates.map((candidate) => ({
    candidate,
    errors: typingErrors(word.toLowerCase(), candidate),
  }));
  const best = scored.sort((a, b) => a.errors - b.errors)[0];
  return best && best.errors <= Math.max(1, Math.floor(best.candidate.length / 3))
    ? best.candidate
    : undefined;
}

function wrong(option: string, text: string, kind: string, { min, max }: Range): string {
  const bounded = max !== undefined && max !== Number.MAX_SAFE_INTEGER;
  const range = [
    min === undefined ? '' : bounded ? ` from ${min}` : `, ${min} or more`,
    bounded ? (min === undefined ? ` up to ${max}` : ` to ${max}`) : '',
  ].join('');
  return `${option} ${text === '' ? '""' : text}: expected ${kind}${range}`;
}

/** Levenshtein's distance, with two neighbouring letters exchanged counted as one error. */
function typingErrors(a: string, b: string): number {
  const d = Array.from({ length: a.length + 1 }, (_, i) => [i, ...new Array<number>(b.length).fill(0)]);
  for (let j = 0; j <= b.length; j++) d[0]![j] = j;
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const differs = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(d[i - 1]![j]! + 1, d[i]![j - 1]! + 1, d[i - 1]![j - 1]! + differs);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, d[i - 2]![j - 2]! + 1);
      }
      d[i]![j] = least;
    }
  }
  return d[a.length]![b.length]!;
}
