/** Numbers of 8 bits. */
import { repeatedIndex } from '../indexing.ts';
import { type Kernel, required } from '../kernel.ts';
import { tabulate, type Value } from '../value.ts';

export const quantization: Readonly<Record<string, Kernel>> = {
  /** saturate(round(x / scale) + zero point), with one scale for each index of the axis */
  QuantizeLinear: (inputs, attributes) => {
    const [x, scale, zero] = [required(inputs, 0), required(inputs, 1), required(inputs, 2)];
    const along = placeAlong(x, attributes.number('axis', 1));
    const [least, most] = zero.dtype === 'int8' ? [-128, 127] : [0, 255];
    return tabulate(zero.dtype, x.shape, (i) => {
      const q = roundHalfToEven(x.data[i]! / scale.data[along(i)]!) + zero.data[along(i)]!;
      return Math.min(most, Math.max(least, q));
    });
  },

  /** q · scale, with one scale for each index of the axis */
  DequantizeLinear: (inputs, attributes) => {
    const [q, scale] = [required(inputs, 0), required(inputs, 1)];
    if (inputs[2]) throw new Error('zero points are not supported');
    const along = placeAlong(q, attributes.number('axis', 1));
    return tabulate(scale.dtype, q.shape, (i) => q.data[i]! * scale.data[along(i)]!);
  },

  /** a, rounded to 8 bits, · b, scaled by columns, + bias: a [M, K], b [K, N], scale [N], bias [N] */
  DynamicQuantizeMatMul: (inputs) => {
    const [a, b, scale, bias] = [required(inputs, 0), required(inputs, 1), required(inputs, 2), inputs[4]];
    if (inputs[3]) throw new Error('zero points of the second factor are not supported');
    const [m, k, n] = [a.shape[0]!, a.shape[1]!, b.shape[1]!];
    const rounded = dynamicallyQuantized(a);
    const biasIndex = bias && repeatedIndex(bias.shape, [m, n]);
    return tabulate('float32', [m, n], (i) => {
      const [row, column] = [Math.floor(i / n), i % n];
      let sum = 0;
      for (let j = 0; j < k; j++) sum += rounded.q[row * k + j]! * b.data[j * n + column]!;
      return sum * rounded.scale * scale.data[column]! + (bias && biasIndex ? bias.data[biasIndex(i)]! : 0);
    });
  },
};

/** The index along an axis of element `i`, row-major. */
function placeAlong({ shape }: Value, axis: number): (i: number) => number {
  const inner = shape.slice(axis + 1).reduce((product, size) => product * size, 1);
  return (i) => Math.floor(i / inner) % shape[axis]!;
}

/** As DynamicQuantizeLinear: to uint8, over a range that holds 0; `q` with the zero point taken off again. */
function dynamicallyQuantized({ data }: Value): { readonly q: Float64Array; readonly scale: number } {
  const [least, most] = data.reduce(([a, b], x) => [Math.min(a!, x), Math.max(b!, x)], [0, 0]) as [
    number,
    number,
  ];
  const scale = most === least ? 1 : Math.fround((most - least) / 255);
  const zero = Math.min(255, Math.max(0, roundHalfToEven(-least / scale)));
  const q = data.map((x) => Math.min(255, Math.max(0, roundHalfToEven(x / scale) + zero)) - zero);
  return { q, scale };
}

function roundHalfToEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  if (rest !== 0.5) return Math.round(x);
  return floor % 2 === 0 ? floor : floor + 1;
}
