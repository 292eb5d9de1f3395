/** The one element-wise operation that schedules and samplers are made of. */

/** a·x + b·y. */
export function weightedSum(
  a: number,
  x: Float32Array,
  b: number,
  y: Float32Array,
): Float32Array<ArrayBuffer> {
  if (x.length !== y.length) throw new RangeError(`cannot add ${x.length} elements to ${y.length}`);
  const result = new Float32Array(x.length);
  for (let i = 0; i < result.length; i++) result[i] = a * x[i]! + b * y[i]!;
  return result;
}
