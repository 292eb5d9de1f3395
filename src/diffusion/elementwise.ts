/** The element-wise operations that schedules and samplers are made of. */

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

/** Σ weights[k] · arrays[k]. Arrays beyond the weights are left out. */
export function linearCombination(
  weights: readonly number[],
  arrays: readonly Float32Array[],
): Float32Array<ArrayBuffer> {
  const result = new Float32Array(arrays[0]!.length);
  for (let i = 0; i < result.length; i++) {
    let sum = 0;
    for (let k = 0; k < weights.length; k++) sum += weights[k]! * arrays[k]![i]!;
    result[i] = sum;
  }
  return result;
}
