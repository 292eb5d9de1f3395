/** Functions of one number, applied to every element. */
import type { DType } from '../dtype.ts';
import { broadcastShapes, ShapeError } from '../shape.ts';
import { operation, rule, scalar, type Tensor } from '../tensor.ts';
import { divide, multiply, type Operand, subtract } from './arithmetic.ts';
import { sumTo } from './broadcast.ts';

/** −x. */
export const negate = (x: Tensor): Tensor => unary('Neg', x, (g) => negate(g));
/** eˣ. */
export const exp = (x: Tensor): Tensor => unary('Exp', x, (g, y) => multiply(g, y));
/** The natural logarithm. */
export const log = (x: Tensor): Tensor => unary('Log', x, (g) => divide(g, x));
/** √x. */
export const sqrt = (x: Tensor): Tensor => unary('Sqrt', x, (g, y) => divide(multiply(g, 0.5), y));
/** x². */
export const square = (x: Tensor): Tensor => multiply(x, x);
/** The sine of x, in radians. */
export const sin = (x: Tensor): Tensor => unary('Sin', x, (g) => multiply(g, cos(x)));
/** The cosine of x, in radians. */
export const cos = (x: Tensor): Tensor => unary('Cos', x, (g) => negate(multiply(g, sin(x))));
/** The absolute value. */
export const abs = (x: Tensor): Tensor =>
  unary('Abs', x, (g) => multiply(g, operation('Sign', [x], x.shape, x.dtype)));
/** max(x, 0). */
export const relu = (x: Tensor): Tensor => unary('Relu', x, (g) => where(greater(x, 0), g, 0));
/** The hyperbolic tangent. */
export const tanh = (x: Tensor): Tensor =>
  unary('Tanh', x, (g, y) => multiply(g, subtract(1, multiply(y, y))));
/** 1 / (1 + e⁻ˣ). */
export const sigmoid = (x: Tensor): Tensor =>
  unary('Sigmoid', x, (g, y) => multiply(g, multiply(y, subtract(1, y))));
/** The error function; its derivative is 2/√π · exp(−x²). */
export const erf = (x: Tensor): Tensor =>
  unary('Erf', x, (g) => multiply(multiply(g, 2 / Math.sqrt(Math.PI)), exp(negate(square(x)))));

/** x to a constant power. */
export function power(x: Tensor, exponent: number): Tensor {
  return operation('Pow', [x, scalar(exponent)], x.shape, x.dtype, {
    gradient: rule((g) => [multiply(g, multiply(exponent, power(x, exponent - 1)))]),
  });
}

/** x limited to [min, max]. The gradient passes where x lies inside, ends included, as PyTorch's does. */
export function clamp(x: Tensor, min: number, max: number): Tensor {
  return operation('Clip', [x, scalar(min), scalar(max)], x.shape, x.dtype, {
    gradient: rule((g) => [where(greater(x, max), 0, where(greater(min, x), 0, g))]),
  });
}

/** The same values in another type. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  return operation('Cast', [x], x.shape, dtype, {
    attributes: { to: { int: ONNX_TYPES[dtype] } },
    gradient: rule((g) => [cast(g, x.dtype)]),
  });
}

/** The numbers of `TensorProto.DataType`. */
export const ONNX_TYPES: Readonly<Record<DType, number>> = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
  bfloat16: 16,
};

/** The operator that `stopGradient` writes, and nothing else does. */
export const STOP_GRADIENT = 'Identity';

/** x, through which no gradient flows. */
export function stopGradient(x: Tensor): Tensor {
  return operation(STOP_GRADIENT, [x], x.shape, x.dtype);
}

/** `a > b`, as bool; it has no gradient. */
export function greater(a: Operand, b: Operand): Tensor {
  const x = typeof a === 'number' ? scalar(a) : a;
  const y = typeof b === 'number' ? scalar(b) : b;
  return operation('Greater', [x, y], broadcastShapes('Greater', x.shape, y.shape), 'bool');
}

/** `a` where the condition holds, otherwise `b`. */
export function where(condition: Tensor, a: Operand, b: Operand): Tensor {
  if (condition.dtype !== 'bool')
    throw new ShapeError(`Where: the condition is ${condition.dtype}, not bool`);
  const x = typeof a === 'number' ? scalar(a) : a;
  const y = typeof b === 'number' ? scalar(b) : b;
  const shape = broadcastShapes('Where', condition.shape, broadcastShapes('Where', x.shape, y.shape));
  return operation('Where', [condition, x, y], shape, x.dtype, {
    gradient: rule((g) => [
      undefined,
      sumTo(where(condition, g, 0), x.shape),
      sumTo(where(condition, 0, g), y.shape),
    ]),
  });
}

function unary(type: string, x: Tensor, gradient: (g: Tensor, y: Tensor) => Tensor): Tensor {
  const y: Tensor = operation(type, [x], x.shape, x.dtype, { gradient: rule((g) => [gradient(g, y)]) });
  return y;
}
