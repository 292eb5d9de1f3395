/** Ranges of numbers, and how messages name them. */

/** From and up to these values, both included. */
export interface Range {
  readonly least: number;
  readonly most: number;
}

/** False for NaN as for anything that is no number. */
export function isWithin(value: unknown, { least, most }: Range): value is number {
  return typeof value === 'number' && value >= least && value <= most;
}

export function isIntegerWithin(value: unknown, range: Range): value is number {
  return Number.isInteger(value) && isWithin(value, range);
}

/** `a positive integer up to 128`, `an integer from 0 to 1`. */
export function integerWithin({ least, most }: Range): string {
  return least === 1 ? `a positive integer up to ${most}` : `an integer from ${least} to ${most}`;
}

/** `a number from 0 to 1`. */
export function numberWithin({ least, most }: Range): string {
  return `a number from ${least} to ${most}`;
}
