/** Convolution of pictures and its transpose. */
import { elementCount } from '../../../graph/shape.ts';
import { type Attributes, type Kernel, required } from '../kernel.ts';
import type { Value } from '../value.ts';

export const convolution: Readonly<Record<string, Kernel>> = {
  /** x [B, C, H, W], weight [O, C/groups, kH, kW], bias [O] → [B, O, H', W'] */
  Conv: (inputs, attributes) => {
    const [x, weight, bias] = [required(inputs, 0), required(inputs, 1), inputs[2]];
    const [batch, , height, width] = planes(x);
    const [out, perGroup, kernelH, kernelW] = planes(weight);
    const { strides, pads, dilations, groups } = geometry(attributes);
    const size = (length: number, kernel: number, axis: 0 | 1) =>
      Math.floor(
        (length + pads[axis]! + pads[axis + 2]! - dilations[axis]! * (kernel - 1) - 1) / strides[axis]!,
      ) + 1;
    const [outH, outW] = [size(height, kernelH, 0), size(width, kernelW, 1)];
    const y = zeros([batch, out, outH, outW], x);
    forEachTap(y, weight, { strides, pads, dilations }, height, width, (b, o, at, tap, row, column) => {
      const group = Math.floor(o / (out / groups));
      for (let c = 0; c < perGroup; c++) {
        const source = ((b * perGroup * groups + group * perGroup + c) * height + row) * width + column;
        y.data[at]! += x.data[source]! * weight.data[(o * perGroup + c) * kernelH * kernelW + tap]!;
      }
    });
    return bias ? plusBias(y, bias) : y;
  },

  /** The transpose of Conv: x [B, C, H, W], weight [C, O/groups, kH, kW], bias [O] → [B, O, H', W'] */
  ConvTranspose: (inputs, attributes) => {
    const [x, weight, bias] = [required(inputs, 0), required(inputs, 1), inputs[2]];
    const [batch, channels, height, width] = planes(x);
    const [, perGroup, kernelH, kernelW] = planes(weight);
    const { strides, pads, dilations, groups } = geometry(attributes);
    const extra = attributes.numbers('output_padding', [0, 0]);
    const size = (length: number, kernel: number, axis: 0 | 1) =>
      strides[axis]! * (length - 1) +
      extra[axis]! +
      dilations[axis]! * (kernel - 1) +
      1 -
      pads[axis]! -
      pads[axis + 2]!;
    const [outH, outW] = [size(height, kernelH, 0), size(width, kernelW, 1)];
    const y = zeros([batch, perGroup * groups, outH, outW], x);
    // The same taps as those of the convolution from y to x, gone through in the other direction.
    forEachTap(x, weight, { strides, pads, dilations }, outH, outW, (b, c, at, tap, row, column) => {
      const group = Math.floor(c / (channels / groups));
      for (let o = 0; o < perGroup; o++) {
        const target = ((b * perGroup * groups + group * perGroup + o) * outH + row) * outW + column;
        y.data[target]! += x.data[at]! * weight.data[(c * perGroup + o) * kernelH * kernelW + tap]!;
      }
    });
    return bias ? plusBias(y, bias) : y;
  },
};

interface Taps {
  readonly strides: readonly number[];
  readonly pads: readonly number[];
  readonly dilations: readonly number[];
}

/**
 * For each element of `small` (the smaller, strided side of a convolution; its index is `at`) and each tap of the
 * kernel that does not fall into the padding: the row and column of the larger side, height × width, that it touches.
 */
function forEachTap(
  small: Value,
  weight: Value,
  { strides, pads, dilations }: Taps,
  height: number,
  width: number,
  visit: (item: number, channel: number, at: number, tap: number, row: number, column: number) => void,
): void {
  const [, channels, rows, columns] = planes(small);
  const [, , kernelH, kernelW] = planes(weight);
  for (let at = 0; at < small.data.length; at++) {
    const i = Math.floor(at / columns) % rows;
    const j = at % columns;
    const channel = Math.floor(at / (rows * columns)) % channels;
    const item = Math.floor(at / (rows * columns * channels));
    for (let tap = 0; tap < kernelH * kernelW; tap++) {
      const row = i * strides[0]! + Math.floor(tap / kernelW) * dilations[0]! - pads[0]!;
      const column = j * strides[1]! + (tap % kernelW) * dilations[1]! - pads[1]!;
      if (row >= 0 && row < height && column >= 0 && column < width)
        visit(item, channel, at, tap, row, column);
    }
  }
}

function geometry(attributes: Attributes): Taps & { readonly groups: number } {
  return {
    strides: attributes.numbers('strides', [1, 1]),
    pads: attributes.numbers('pads', [0, 0, 0, 0]),
    dilations: attributes.numbers('dilations', [1, 1]),
    groups: attributes.number('group', 1),
  };
}

function planes({ shape }: Value): [number, number, number, number] {
  if (shape.length !== 4)
    throw new Error(`only pictures [B, C, H, W] are supported, got rank ${shape.length}`);
  return shape as unknown as [number, number, number, number];
}

function zeros(shape: readonly number[], like: Value): Value {
  return { dtype: like.dtype, shape, data: new Float64Array(elementCount(shape)) };
}

function plusBias(y: Value, bias: Value): Value {
  const [, channels, height, width] = planes(y);
  return {
    ...y,
    data: y.data.map((sum, i) => sum + bias.data[Math.floor(i / (height * width)) % channels]!),
  };
}
