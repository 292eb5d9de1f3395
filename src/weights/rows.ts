/** A part of a stored tensor that is used as a weight of its own, where it lies. */
import { storageLength } from './check-weight.ts';
import type { Weight } from './weights.ts';

/**
 * Part `index` of `parts` equal ones along the first axis, such as the queries' projection of an `in_proj_weight`.
 * weight: [parts·R, …] → [R, …]. Throws RangeError when the axis does not divide.
 */
export function rowsOf(weight: Weight, index: number, parts: number): Weight {
  const [rows = 0, ...rest] = weight.shape;
  if (rows % parts !== 0) throw new RangeError(`${rows} rows do not divide into ${parts} parts`);
  const shape = [rows / parts, ...rest];
  const length = storageLength(weight.storage) / parts;
  const start = index * length;
  const { storage } = weight;
  return storage.kind === 'bytes'
    ? { ...weight, shape, storage: { kind: 'bytes', bytes: storage.bytes.subarray(start, start + length) } }
    : { ...weight, shape, storage: { ...storage, offset: storage.offset + start, length } };
}
