/** Broadcasting and its transpose, summation back to the smaller shape. */
import { broadcastShapes, formatShape, type Shape, ShapeError, sameShape } from '../shape.ts';
import { int64s, operation, rule, type Tensor } from '../tensor.ts';
import { reduceSum } from './reduce.ts';
import { reshape } from './shape.ts';

/** Repeats `x` along its axes of size 1, and along new leading ones, until it has `shape`. */
export function expandTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  if (!sameShape(broadcastShapes('Expand', x.shape, shape), shape)) {
    throw new ShapeError(`Expand: ${formatShape(x.shape)} cannot be repeated to ${formatShape(shape)}`);
  }
  return operation('Expand', [x, int64s(shape)], shape, x.dtype, {
    gradient: rule((g) => [sumTo(g, x.shape)]),
  });
}

/** Sums `x` over the axes along which something of shape `shape` was repeated to get x's shape. */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.shape.length - shape.length;
  const axes = [...x.shape.keys()].filter(
    (axis) => axis < lead || (shape[axis - lead] === 1 && x.shape[axis] !== 1),
  );
  return reshape(reduceSum(x, axes), shape);
}
