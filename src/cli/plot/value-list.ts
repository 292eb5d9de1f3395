/** Lists of values as the axes of a plot take them: with commas, in quotes where needed, and ranges of numbers. */
import { UsageError } from '../../errors.ts';

/** More values than that on one axis are a slip of the keyboard. */
export const MOST_VALUES = 256;

/**
 * The parts of a comma-separated list, without the spaces around them. A part in double quotes may hold commas, and
 * a quote written twice, as in CSV. Throws UsageError when a quote is not closed or something follows it.
 */
export function splitList(option: string, text: string): string[] {
  const parts: string[] = [];
  for (let rest = text; ; ) {
    const match = /^\s*(?:"((?:[^"]|"")*)"|([^",][^,]*?|))\s*(?:,|$)/.exec(rest);
    if (!match) {
      throw new UsageError(
        `${option}=${text}: expected values with commas between them; close every quote, and put a comma after it`,
      );
    }
    const [whole, quoted, plain = ''] = match;
    parts.push(quoted?.replaceAll('""', '"') ?? plain);
    if (!whole.endsWith(',')) break;
    rest = rest.slice(whole.length);
  }
  if (parts.length > MOST_VALUES) {
    throw new UsageError(`${option}: ${parts.length} values; an axis takes up to ${MOST_VALUES}`);
  }
  return parts;
}

const NUMBER = '[+-]?(?:\\d+\\.?\\d*|\\.\\d+)';
const RANGE = new RegExp(
  `^(${NUMBER})\\s*-\\s*(${NUMBER})\\s*(?::\\s*(${NUMBER})|\\(\\s*(${NUMBER})\\s*\\)|\\[\\s*(\\d+)\\s*\\])?$`,
);

/**
 * `1-4` is 1, 2, 3, 4; `1-10:3` and Automatic1111's `1-10 (+3)` count by threes; its `1-10 [4]` are 4 values from end
 * to end, for whole numbers cut to them as there. Downwards the same. What is no range is undefined. Throws UsageError
 * for a range that does not arrive.
 */
export function rangeOf(option: string, text: string, whole: boolean): number[] | undefined {
  const match = RANGE.exec(text);
  if (!match) return undefined;
  const [from, to] = [Number(match[1]), Number(match[2])];
  const step = match[3] ?? match[4];
  if (match[5] !== undefined) {
    const count = Number(match[5]);
    requireCount(option, text, count);
    const spread = Array.from({ length: count }, (_, i) =>
      count === 1 ? from : rounded(from + ((to - from) * i) / (count - 1)),
    );
    return whole ? spread.map(Math.trunc) : spread;
  }
  const direction = Math.sign(to - from) || 1;
  // After a colon the sign may be left out.
  const by =
    step === undefined
      ? direction
      : match[3] === undefined
        ? Number(step)
        : direction * Math.abs(Number(step));
  const count = by === 0 ? Number.POSITIVE_INFINITY : Math.floor(rounded((to - from) / by)) + 1;
  requireCount(option, text, count);
  return Array.from({ length: count }, (_, i) => rounded(from + i * by));
}

function requireCount(option: string, text: string, count: number): void {
  if (count >= 1 && count <= MOST_VALUES) return;
  const found =
    count < 1 ? 'leads away from its end' : Number.isFinite(count) ? `has ${count} values` : 'never ends';
  throw new UsageError(
    `${option}=${text}: the range ${found}; expected 1 to ${MOST_VALUES} values, as in 1-4, 10-1, 1-10:3 or 1-10 [4]`,
  );
}

/** Without the last bits that adding up tenths leaves. */
function rounded(value: number): number {
  return Number(value.toFixed(10));
}
