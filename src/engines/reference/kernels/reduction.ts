/** Operators that fold axes away. */
import { elementCount, normalizeAxis, stridesOf } from '../../../graph/shape.ts';
import { coordinates, indexOf } from '../indexing.ts';
import { type Kernel, required } from '../kernel.ts';

export const reduction: Readonly<Record<string, Kernel>> = {
  ReduceSum: reduce(0, (sum, x) => sum + x),
  ReduceMean: reduce(
    0,
    (sum, x) => sum + x,
    (sum, count) => sum / count,
  ),
  ReduceMax: reduce(Number.NEGATIVE_INFINITY, Math.max),
};

function reduce(
  start: number,
  step: (folded: number, x: number) => number,
  finish: (folded: number, count: number) => number = (folded) => folded,
): Kernel {
  return (inputs, attributes) => {
    const x = required(inputs, 0);
    const rank = x.shape.length;
    const axes = inputs[1]
      ? [...inputs[1].data].map((axis) => normalizeAxis('reduce', axis, rank))
      : [...x.shape.keys()];
    const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
    const strides = stridesOf(kept).map((stride, axis) => (axes.includes(axis) ? 0 : stride));
    const data = new Float64Array(elementCount(kept)).fill(start);
    x.data.forEach((element, i) => {
      const at = indexOf(coordinates(i, x.shape), strides);
      data[at] = step(data[at]!, element);
    });
    const count = x.data.length / data.length;
    const shape = attributes.number('keepdims', 1) ? kept : x.shape.filter((_, axis) => !axes.includes(axis));
    return { dtype: x.dtype, shape, data: data.map((folded) => finish(folded, count)) };
  };
}
