/** Operators that move elements without changing them. */
import { elementCount, formatShape, normalizeAxis, type Shape, ShapeError, sameShape } from '../shape.ts';
import { filled, int64s, operation, operationWithOutputs, rule, type Tensor } from '../tensor.ts';

/** The same elements in row-major order under another shape. One size may be −1: it follows from the others. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const target = shape.map((size) => (size === -1 ? elementCount(x.shape) / known : size));
  if (elementCount(target) !== elementCount(x.shape) || target.some((size) => !Number.isInteger(size))) {
    throw new ShapeError(
      `Reshape: ${formatShape(x.shape)} has ${elementCount(x.shape)} elements and cannot become ${formatShape(shape)}`,
    );
  }
  if (sameShape(x.shape, target)) return x;
  const { node } = x;
  if (node.kind === 'operation' && node.type === 'Reshape') return reshape(node.inputs[0]!, target);
  return operation('Reshape', [x, int64s(target)], target, x.dtype, {
    gradient: rule((g) => [reshape(g, x.shape)]),
  });
}

/** Axis i of the result is axis `permutation[i]` of x. */
export function transpose(x: Tensor, permutation: readonly number[]): Tensor {
  const rank = x.shape.length;
  if (
    permutation.length !== rank ||
    new Set(permutation).size !== rank ||
    permutation.some((a) => !(a in x.shape))
  ) {
    throw new ShapeError(
      `Transpose: [${permutation}] is no permutation of the axes of ${formatShape(x.shape)}`,
    );
  }
  if (permutation.every((axis, i) => axis === i)) return x;
  const shape = permutation.map((axis) => x.shape[axis]!);
  const inverse = permutation.map((_, axis) => permutation.indexOf(axis));
  return operation('Transpose', [x], shape, x.dtype, {
    attributes: { perm: { ints: permutation } },
    gradient: rule((g) => [transpose(g, inverse)]),
  });
}

/** Elements `start` to `end` (exclusive) along one axis; `0 ≤ start < end ≤ size`. */
export function slice(x: Tensor, axis: number, start: number, end: number): Tensor {
  const at = normalizeAxis('Slice', axis, x.shape.length);
  const size = x.shape[at]!;
  if (!(start >= 0 && start < end && end <= size)) {
    throw new ShapeError(`Slice: ${start} to ${end} is no range of axis ${at} of ${formatShape(x.shape)}`);
  }
  if (start === 0 && end === size) return x;
  const shape = x.shape.map((s, i) => (i === at ? end - start : s));
  const margins = x.shape.map((_, i): [number, number] => (i === at ? [start, size - end] : [0, 0]));
  return operation('Slice', [x, int64s([start]), int64s([end]), int64s([at])], shape, x.dtype, {
    gradient: rule((g) => [pad(g, margins)]),
  });
}

/** Joins tensors along one axis; their other sizes must agree. */
export function concat(xs: readonly Tensor[], axis: number): Tensor {
  const first = xs[0];
  if (!first) throw new ShapeError('Concat: needs at least one tensor');
  if (xs.length === 1) return first;
  const at = normalizeAxis('Concat', axis, first.shape.length);
  for (const x of xs) {
    if (x.shape.length !== first.shape.length || x.shape.some((s, i) => i !== at && s !== first.shape[i])) {
      throw new ShapeError(
        `Concat: ${formatShape(first.shape)} and ${formatShape(x.shape)} differ in more than axis ${at}`,
      );
    }
  }
  const sizes = xs.map((x) => x.shape[at]!);
  const shape = first.shape.map((s, i) => (i === at ? sizes.reduce((sum, size) => sum + size, 0) : s));
  return operation('Concat', xs, shape, first.dtype, {
    attributes: { axis: { int: at } },
    gradient: rule((g) => split(g, sizes, at)),
  });
}

/** Cuts `x` along one axis into pieces of the given sizes. */
export function split(x: Tensor, sizes: readonly number[], axis: number): Tensor[] {
  const at = normalizeAxis('Split', axis, x.shape.length);
  if (sizes.reduce((sum, size) => sum + size, 0) !== x.shape[at]) {
    throw new ShapeError(
      `Split: pieces of [${sizes}] do not add up to axis ${at} of ${formatShape(x.shape)}`,
    );
  }
  if (sizes.length === 1) return [x];
  const outputs = sizes.map((size) => ({
    shape: x.shape.map((s, i) => (i === at ? size : s)),
    dtype: x.dtype,
  }));
  return operationWithOutputs('Split', [x, int64s(sizes)], outputs, {
    attributes: { axis: { int: at } },
    gradient: (gs) => [
      concat(
        gs.map((g, i) => g ?? filled(outputs[i]!.shape, 0)),
        at,
      ),
    ],
  });
}

/** Adds `[before, after]` elements of `value` along each axis. */
export function pad(x: Tensor, margins: readonly (readonly [number, number])[], value = 0): Tensor {
  if (margins.length !== x.shape.length || margins.some(([a, b]) => a < 0 || b < 0)) {
    throw new ShapeError(`Pad: margins [${margins.join('; ')}] do not fit ${formatShape(x.shape)}`);
  }
  if (margins.every(([a, b]) => a === 0 && b === 0)) return x;
  const shape = x.shape.map((s, i) => s + margins[i]![0] + margins[i]![1]);
  const pads = int64s([...margins.map(([before]) => before), ...margins.map(([, after]) => after)]);
  return operation('Pad', [x, pads, filled([], value)], shape, x.dtype, {
    attributes: { mode: { string: 'constant' } },
    gradient: rule((g) => [
      margins.reduce((inner, [before], axis) => slice(inner, axis, before, before + x.shape[axis]!), g),
    ]),
  });
}
