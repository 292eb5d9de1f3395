/** Convolution over images. */
import { formatShape, ShapeError } from '../shape.ts';
import { operation, rule, type Tensor } from '../tensor.ts';
import { gemm } from './matmul.ts';
import { reduceSum } from './reduce.ts';
import { concat, pad, reshape, slice, split, transpose } from './shape.ts';

export interface Conv2dOptions {
  readonly stride?: number;
  /** Zeros around the picture: one number for all sides, or [top, left, bottom, right]. */
  readonly padding?: number | Padding;
  readonly dilation?: number;
  readonly groups?: number;
}

export type Padding = readonly [top: number, left: number, bottom: number, right: number];

interface Geometry {
  readonly stride: number;
  readonly padding: Padding;
  readonly dilation: number;
  readonly groups: number;
}

/** x [B, C, H, W] with weight [O, C/groups, kH, kW] and bias [O] → [B, O, H', W']. */
export function conv2d(x: Tensor, weight: Tensor, bias?: Tensor, options: Conv2dOptions = {}): Tensor {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const sides: Padding = typeof padding === 'number' ? [padding, padding, padding, padding] : padding;
  const geometry: Geometry = { stride, padding: sides, dilation, groups };
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const [out, perGroup, kernelH, kernelW] = weight.shape as [number, number, number, number];
  const [top, left, bottom, right] = sides;
  const outH = Math.floor((height + top + bottom - dilation * (kernelH - 1) - 1) / stride) + 1;
  const outW = Math.floor((width + left + right - dilation * (kernelW - 1) - 1) / stride) + 1;
  const fits =
    x.shape.length === 4 &&
    weight.shape.length === 4 &&
    channels === perGroup * groups &&
    out % groups === 0 &&
    (!bias || (bias.shape.length === 1 && bias.shape[0] === out));
  if (!fits || outH < 1 || outW < 1) {
    throw new ShapeError(
      `Conv: x ${formatShape(x.shape)}, weight ${formatShape(weight.shape)}` +
        `${bias ? `, bias ${formatShape(bias.shape)}` : ''} with groups ${groups}, stride ${stride}, ` +
        `padding [${sides}], dilation ${dilation} do not fit: expected x [B, C, H, W], weight [O, C/groups, kH, kW], bias [O]`,
    );
  }
  return operation('Conv', bias ? [x, weight, bias] : [x, weight], [batch, out, outH, outW], x.dtype, {
    attributes: {
      strides: { ints: [stride, stride] },
      pads: { ints: sides },
      dilations: { ints: [dilation, dilation] },
      group: { int: groups },
      kernel_shape: { ints: [kernelH, kernelW] },
    },
    gradient: rule((g) => [
      inputGradient(g, weight, x, geometry),
      weightGradient(g, weight, x, geometry),
      bias && reduceSum(g, [0, 2, 3]),
    ]),
  });
}

/** Convolution with the transposed weight; for stride 1 as a plain Conv, whose kernel is the faster one. */
function inputGradient(
  g: Tensor,
  weight: Tensor,
  x: Tensor,
  { stride, padding, dilation, groups }: Geometry,
): Tensor {
  const [, , height, width] = x.shape as [number, number, number, number];
  const [, , kernelH, kernelW] = weight.shape as [number, number, number, number];
  const [top, left, bottom, right] = padding;
  const reachH = dilation * (kernelH - 1);
  const reachW = dilation * (kernelW - 1);
  if (stride === 1 && groups === 1 && Math.max(top, bottom) <= reachH && Math.max(left, right) <= reachW) {
    return conv2d(g, flipped(transpose(weight, [1, 0, 2, 3])), undefined, {
      dilation,
      padding: [reachH - top, reachW - left, reachH - bottom, reachW - right],
    });
  }
  const [, , outH, outW] = g.shape as [number, number, number, number];
  const extraH = height - ((outH - 1) * stride + reachH + 1 - top - bottom);
  const extraW = width - ((outW - 1) * stride + reachW + 1 - left - right);
  return operation('ConvTranspose', [g, weight], x.shape, x.dtype, {
    attributes: {
      strides: { ints: [stride, stride] },
      pads: { ints: padding },
      dilations: { ints: [dilation, dilation] },
      group: { int: groups },
      kernel_shape: { ints: [kernelH, kernelW] },
      output_padding: { ints: [extraH, extraW] },
    },
  });
}

/** Reverses the last two axes of [I, O, kH, kW]. */
function flipped(weight: Tensor): Tensor {
  const [a, b, kernelH, kernelW] = weight.shape as [number, number, number, number];
  const count = kernelH * kernelW;
  if (count === 1) return weight;
  const taps = split(reshape(weight, [a, b, count]), new Array<number>(count).fill(1), 2);
  return reshape(concat(taps.toReversed(), 2), weight.shape);
}

/** The correlation of x with g, for each tap of the kernel. */
function weightGradient(g: Tensor, weight: Tensor, x: Tensor, geometry: Geometry): Tensor {
  const { stride, padding, dilation, groups } = geometry;
  if (groups > 1) {
    const xs = split(x, new Array<number>(groups).fill(x.shape[1]! / groups), 1);
    const gs = split(g, new Array<number>(groups).fill(g.shape[1]! / groups), 1);
    const ws = split(weight, new Array<number>(groups).fill(weight.shape[0]! / groups), 0);
    const one = { ...geometry, groups: 1 };
    return concat(
      xs.map((part, i) => weightGradient(gs[i]!, ws[i]!, part, one)),
      0,
    );
  }
  const [, , kernelH, kernelW] = weight.shape as [number, number, number, number];
  const [top, left, bottom, right] = padding;
  if (stride === 1 && dilation === 1 && Math.max(top, bottom) < kernelH && Math.max(left, right) < kernelW) {
    return weightGradientByProduct(g, weight, x, padding);
  }
  // A Conv in which batch and channels have changed places.
  const padded = pad(x, [
    [0, 0],
    [0, 0],
    [top, bottom],
    [left, right],
  ]);
  const correlation = conv2d(transpose(padded, [1, 0, 2, 3]), transpose(g, [1, 0, 2, 3]), undefined, {
    stride: dilation,
    dilation: stride,
  });
  // A stride that leaves a remainder gives rows and columns that no tap of the kernel reaches.
  return transpose(slice(slice(correlation, 2, 0, kernelH), 3, 0, kernelW), [1, 0, 2, 3]);
}

/**
 * All taps in one matrix product, for stride 1. Tap (i, j) is Σ g[h − i + top, w] · x[h, w + j − left]: so kH copies
 * of g shifted by rows against kW copies of x shifted by columns, [kH·O, N] · [kW·C, N]ᵀ with N = B·H·W', make
 * every pair of shifts at once. Copies kH + kW times where unfolding x (im2col) would copy kH · kW times.
 */
function weightGradientByProduct(g: Tensor, weight: Tensor, x: Tensor, padding: Padding): Tensor {
  const [out, channels, kernelH, kernelW] = weight.shape as [number, number, number, number];
  const [batch, , height] = x.shape as [number, number, number, number];
  const width = g.shape[3]!;
  const [top, left, bottom, right] = padding;
  const places = batch * height * width;
  const columns = pad(transpose(x, [1, 0, 2, 3]), [
    [0, 0],
    [0, 0],
    [0, 0],
    [left, right],
  ]);
  const rows = pad(transpose(g, [1, 0, 2, 3]), [
    [0, 0],
    [0, 0],
    [kernelH - 1 - top, kernelH - 1 - bottom],
    [0, 0],
  ]);
  const shiftedX = range(kernelW).map((j) => slice(columns, 3, j, j + width));
  const shiftedG = range(kernelH).map((i) => slice(rows, 2, kernelH - 1 - i, kernelH - 1 - i + height));
  const product = gemm(
    reshape(concat(shiftedG, 0), [kernelH * out, places]),
    reshape(concat(shiftedX, 0), [kernelW * channels, places]),
    undefined,
    { transposeB: true },
  );
  return transpose(reshape(product, [kernelH, out, kernelW, channels]), [1, 3, 0, 2]);
}

const range = (count: number): number[] => [...new Array<number>(count).keys()];
