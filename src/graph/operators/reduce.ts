/** Sums, means and maxima over axes. */
import { elementCount, normalizeAxis, type Shape } from '../shape.ts';
import { int64s, operation, rule, type Tensor } from '../tensor.ts';
import { multiply } from './arithmetic.ts';
import { expandTo } from './broadcast.ts';
import { reshape } from './shape.ts';

/** Sum over `axes` (all of them if not given). */
export function reduceSum(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return reduce('ReduceSum', x, axes, keepDims, (g, kept) => expandTo(reshape(g, kept), x.shape));
}

/** Mean over `axes` (all of them if not given). */
export function reduceMean(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return reduce('ReduceMean', x, axes, keepDims, (g, kept) => {
    const share = elementCount(kept) / elementCount(x.shape);
    return expandTo(multiply(reshape(g, kept), share), x.shape);
  });
}

/** The largest element over `axes` (all of them if not given); it has no gradient. */
export function reduceMax(x: Tensor, axes?: readonly number[], keepDims = false): Tensor {
  return reduce('ReduceMax', x, axes, keepDims);
}

function reduce(
  type: string,
  x: Tensor,
  axes: readonly number[] | undefined,
  keepDims: boolean,
  gradient?: (g: Tensor, kept: Shape) => Tensor,
): Tensor {
  const reduced = axes ? axes.map((axis) => normalizeAxis(type, axis, x.shape.length)) : [...x.shape.keys()];
  if (reduced.length === 0) return x;
  const kept = x.shape.map((size, axis) => (reduced.includes(axis) ? 1 : size));
  const shape = keepDims ? kept : x.shape.filter((_, axis) => !reduced.includes(axis));
  return operation(type, [x, int64s(reduced)], shape, x.dtype, {
    attributes: { keepdims: { int: keepDims ? 1 : 0 } },
    ...(gradient && { gradient: rule((g) => [gradient(g, kept)]) }),
  });
}
