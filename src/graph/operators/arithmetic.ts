/** Sums, differences, products and quotients with NumPy's broadcasting. */
import { broadcastShapes, ShapeError } from '../shape.ts';
import { operation, rule, scalar, type Tensor } from '../tensor.ts';
import { sumTo } from './broadcast.ts';
import { negate } from './pointwise.ts';

/** A tensor, or a number that stands for a constant of rank 0. */
export type Operand = Tensor | number;

/** a + b */
export function add(a: Operand, b: Operand): Tensor {
  return binary('Add', a, b, (x, y, g) => [sumTo(g, x.shape), sumTo(g, y.shape)]);
}

/** a − b */
export function subtract(a: Operand, b: Operand): Tensor {
  return binary('Sub', a, b, (x, y, g) => [sumTo(g, x.shape), sumTo(negate(g), y.shape)]);
}

/** a · b, element by element */
export function multiply(a: Operand, b: Operand): Tensor {
  return binary('Mul', a, b, (x, y, g) => [sumTo(multiply(g, y), x.shape), sumTo(multiply(g, x), y.shape)]);
}

/** a / b, element by element */
export function divide(a: Operand, b: Operand): Tensor {
  return binary('Div', a, b, (x, y, g, quotient) => [
    sumTo(divide(g, y), x.shape),
    sumTo(negate(divide(multiply(g, quotient), y)), y.shape),
  ]);
}

function binary(
  type: string,
  a: Operand,
  b: Operand,
  gradient: (x: Tensor, y: Tensor, g: Tensor, result: Tensor) => readonly Tensor[],
): Tensor {
  const x = typeof a === 'number' ? scalar(a) : a;
  const y = typeof b === 'number' ? scalar(b) : b;
  if (x.dtype !== y.dtype) {
    throw new ShapeError(`${type}: the operands are ${x.dtype} and ${y.dtype}; cast one of them`);
  }
  const result: Tensor = operation(type, [x, y], broadcastShapes(type, x.shape, y.shape), x.dtype, {
    gradient: rule((g) => gradient(x, y, g, result)),
  });
  return result;
}
