/** Checks what a run is given against what its program wants, before anything is copied or sent to a device. */
import { UsageError } from '../errors.ts';
import { elementCount, formatShape, sameShape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { isHostTensor, type Value } from './engine.ts';

/** Throws UsageError for a missing, surplus, wrongly typed or wrongly shaped input; the message names it. */
export function checkInputs(
  program: string,
  expected: ReadonlyMap<string, Tensor>,
  given: Readonly<Record<string, Value>>,
): void {
  for (const name of Object.keys(given)) {
    if (!expected.has(name)) {
      throw new UsageError(
        `${program} takes no input "${name}"; it takes ${list([...expected.keys()])}. ` +
          'A parameter whose weight was given at compile time is bound and cannot be given again.',
      );
    }
  }
  for (const [name, { dtype, shape }] of expected) {
    const value = given[name];
    if (!value) throw new UsageError(`${program} needs the input "${name}" (${dtype} ${formatShape(shape)})`);
    if (value.dtype !== dtype || !sameShape(value.shape, shape)) {
      throw new UsageError(
        `${program}: the input "${name}" must be ${dtype} ${formatShape(shape)}, got ${value.dtype} ${formatShape(value.shape)}`,
      );
    }
    if (isHostTensor(value) && value.data.length !== elementCount(shape)) {
      throw new UsageError(
        `${program}: the input "${name}" has ${value.data.length} elements, but ${formatShape(shape)} has ${elementCount(shape)}`,
      );
    }
  }
}

function list(names: readonly string[]): string {
  const shown = names.slice(0, 8).map((name) => `"${name}"`);
  if (names.length > shown.length) shown.push(`${names.length - shown.length} more`);
  return shown.length > 0 ? shown.join(', ') : 'none';
}

/** Throws UsageError for a value to be kept that is no output of the program. */
export function checkKept(program: string, outputs: Iterable<string>, keep: readonly string[]): void {
  const known = new Set(outputs);
  const unknown = keep.find((name) => !known.has(name));
  if (unknown !== undefined) {
    throw new UsageError(`${program} has no output "${unknown}" to keep; it has ${list([...known])}`);
  }
}
