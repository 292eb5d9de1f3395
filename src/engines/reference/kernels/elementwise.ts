/** Operators that compute each element from those at the same place. */

import type { DType } from '../../../graph/dtype.ts';
import { ONNX_TYPES } from '../../../graph/operators/pointwise.ts';
import { broadcastShapes } from '../../../graph/shape.ts';
import { repeatedIndex } from '../indexing.ts';
import { type Kernel, required } from '../kernel.ts';
import { isFloat, tabulate, type Value } from '../value.ts';

export const elementwise: Readonly<Record<string, Kernel>> = {
  Identity: unary((x) => x),
  Neg: unary((x) => -x),
  Abs: unary(Math.abs),
  Sign: unary(Math.sign),
  Exp: unary(Math.exp),
  Log: unary(Math.log),
  Sqrt: unary(Math.sqrt),
  Reciprocal: unary((x) => 1 / x),
  Sin: unary(Math.sin),
  Cos: unary(Math.cos),
  Tanh: unary(Math.tanh),
  Sigmoid: unary(sigmoid),
  Relu: unary((x) => Math.max(x, 0)),
  Erf: unary(erf),
  Gelu: (inputs, attributes) => {
    const approximate = attributes.string('approximate', 'none') === 'tanh';
    return unary(approximate ? geluTanh : (x) => 0.5 * x * (1 + erf(x * Math.SQRT1_2)))(inputs, attributes);
  },
  QuickGelu: (inputs, attributes) => {
    const alpha = attributes.number('alpha', 1.702);
    return unary((x) => x * sigmoid(alpha * x))(inputs, attributes);
  },
  Clip: (inputs) => {
    const x = required(inputs, 0);
    const min = inputs[1]?.data[0] ?? Number.NEGATIVE_INFINITY;
    const max = inputs[2]?.data[0] ?? Number.POSITIVE_INFINITY;
    return tabulate(x.dtype, x.shape, (i) => Math.min(Math.max(x.data[i]!, min), max));
  },
  Cast: (inputs, attributes) => {
    const x = required(inputs, 0);
    const to = dtypeOf(attributes.number('to', 0));
    if (to === 'bool') return tabulate(to, x.shape, (i) => (x.data[i] === 0 ? 0 : 1));
    return tabulate(to, x.shape, (i) => (isFloat(to) ? x.data[i]! : Math.trunc(x.data[i]!)));
  },

  Add: binary((a, b) => a + b),
  Sub: binary((a, b) => a - b),
  Mul: binary((a, b) => a * b),
  Div: (inputs, attributes) => {
    const integers = !isFloat(required(inputs, 0).dtype);
    return binary((a, b) => (integers ? Math.trunc(a / b) : a / b))(inputs, attributes);
  },
  Pow: binary((a, b) => a ** b),
  Greater: binary((a, b) => (a > b ? 1 : 0), 'bool'),
  Where: (inputs) => {
    const [condition, a, b] = [required(inputs, 0), required(inputs, 1), required(inputs, 2)];
    const shape = broadcastShapes('Where', condition.shape, broadcastShapes('Where', a.shape, b.shape));
    const [conditionAt, aAt, bAt] = [condition, a, b].map((x) => elementAt(x, shape));
    return tabulate(a.dtype, shape, (i) => (conditionAt!(i) !== 0 ? aAt!(i) : bAt!(i)));
  },
};

function unary(f: (x: number) => number): Kernel {
  return (inputs) => {
    const { dtype, shape, data } = required(inputs, 0);
    return tabulate(dtype, shape, (i) => f(data[i]!));
  };
}

function binary(f: (a: number, b: number) => number, dtype?: DType): Kernel {
  return (inputs) => {
    const [a, b] = [required(inputs, 0), required(inputs, 1)];
    const shape = broadcastShapes('binary operator', a.shape, b.shape);
    const [aAt, bAt] = [elementAt(a, shape), elementAt(b, shape)];
    return tabulate(dtype ?? a.dtype, shape, (i) => f(aAt(i), bAt(i)));
  };
}

/** The element of `x`, repeated to `shape`, at an index of `shape`. */
function elementAt(x: Value, shape: readonly number[]): (index: number) => number {
  const index = repeatedIndex(x.shape, shape);
  return (i) => x.data[index(i)]!;
}

function dtypeOf(onnxType: number): DType {
  for (const [dtype, number] of Object.entries(ONNX_TYPES)) if (number === onnxType) return dtype as DType;
  throw new Error(`the ONNX element type ${onnxType} is not supported`);
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)));
}

/** erf(x) = 2/√π · e^(−x²) · Σ 2ⁿ x^(2n+1) / (2n+1)!! (Abramowitz & Stegun 7.1.6): all terms have one sign. */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x); // within 2e-17 of it
  let term = x;
  let sum = 0;
  for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-17; n++) {
    sum += term;
    term *= (2 * x * x) / (2 * n + 1);
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
