/**
 * The two gradients of a convolution, in the forms that ONNX Runtime computes fastest while weights change at every
 * step: matrix products over shifted copies for most shapes.
 */
import { hostTensor } from '../host-tensor.ts';
import { constant, operation, type Tensor } from '../tensor.ts';
import { type ConvGeometry, conv2d } from './conv.ts';
import { gather } from './gather.ts';
import { gemm, matmul } from './matmul.ts';
import { reduceSum } from './reduce.ts';
import { concat, pad, reshape, slice, split, transpose } from './shape.ts';

type Shape4 = [number, number, number, number];

/** Pictures of at most this many pixels are unfolded; ONNX Runtime's Conv makes little of them. */
const SMALL = 64;

/** From this width on, and with at most `FEW_CHANNELS`, products per picture beat one for the batch. */
const WIDE = 32;
const FEW_CHANNELS = 32;

/** The gradients with respect to x and to the weight, given g, the one with respect to the result. */
export function convGradients(
  g: Tensor,
  x: Tensor,
  weight: Tensor,
  geometry: ConvGeometry,
): [Tensor, Tensor] {
  const { stride, dilation, groups } = geometry;
  if (groups > 1) return groupedGradients(g, x, weight, geometry);
  if (stride !== 1 || dilation !== 1 || !keepsInside(weight, geometry)) {
    return [inputGradientTransposed(g, x, weight, geometry), weightGradientUnfolded(g, x, weight, geometry)];
  }
  const [, channels, height, width] = x.shape as Shape4;
  if (height * width <= SMALL) return smallGradients(g, x, weight, geometry);
  const wide = width >= WIDE && channels <= FEW_CHANNELS && weight.shape[0]! <= FEW_CHANNELS;
  const weightGradient = wide ? weightGradientPerPicture : weightGradientOfBatch;
  return [inputGradient(g, weight, geometry), weightGradient(g, x, weight, geometry)];
}

/** No padding wider than the kernel reaches, so that every shift of g stays within a kernel of it. */
function keepsInside(weight: Tensor, { padding: [top, left, bottom, right] }: ConvGeometry): boolean {
  const [, , kernelH, kernelW] = weight.shape as Shape4;
  return Math.max(top, bottom) < kernelH && Math.max(left, right) < kernelW;
}

/** Each group is a convolution of its own. */
function groupedGradients(g: Tensor, x: Tensor, weight: Tensor, geometry: ConvGeometry): [Tensor, Tensor] {
  const { groups } = geometry;
  const parts = (tensor: Tensor, axis: number) =>
    split(tensor, new Array<number>(groups).fill(tensor.shape[axis]! / groups), axis);
  const gs = parts(g, 1);
  const xs = parts(x, 1);
  const gradients = parts(weight, 0).map((part, i) =>
    convGradients(gs[i]!, xs[i]!, part, { ...geometry, groups: 1 }),
  );
  return [
    concat(
      gradients.map(([forX]) => forX),
      1,
    ),
    concat(
      gradients.map(([, forWeight]) => forWeight),
      0,
    ),
  ];
}

/** Convolution of g with the weight turned by 180° and its channels exchanged. Stride 1. */
function inputGradient(g: Tensor, weight: Tensor, { padding }: ConvGeometry): Tensor {
  const [out, channels, kernelH, kernelW] = weight.shape as Shape4;
  const [top, left, bottom, right] = padding;
  const taps = kernelH * kernelW;
  const exchanged = transpose(reshape(weight, [out, channels, taps]), [1, 0, 2]);
  // Reversing with a product is several times faster than with slices of step −1.
  const turned = taps === 1 ? exchanged : matmul(exchanged, reversal(taps));
  return conv2d(g, reshape(turned, [channels, out, kernelH, kernelW]), undefined, {
    padding: [kernelH - 1 - top, kernelW - 1 - left, kernelH - 1 - bottom, kernelW - 1 - right],
  });
}

/** Any stride and dilation. */
function inputGradientTransposed(g: Tensor, x: Tensor, weight: Tensor, geometry: ConvGeometry): Tensor {
  const { stride, padding, dilation } = geometry;
  const [, , height, width] = x.shape as Shape4;
  const [, , kernelH, kernelW] = weight.shape as Shape4;
  const [, , outH, outW] = g.shape as Shape4;
  const [top, left, bottom, right] = padding;
  const extraH = height - ((outH - 1) * stride + dilation * (kernelH - 1) + 1 - top - bottom);
  const extraW = width - ((outW - 1) * stride + dilation * (kernelW - 1) + 1 - left - right);
  return operation('ConvTranspose', [g, weight], x.shape, x.dtype, {
    attributes: {
      strides: { ints: [stride, stride] },
      pads: { ints: padding },
      dilations: { ints: [dilation, dilation] },
      group: { int: 1 },
      kernel_shape: { ints: [kernelH, kernelW] },
      output_padding: { ints: [extraH, extraW] },
    },
  });
}

/**
 * Both gradients from one unfolding of g: row (b, h, w) holds what every tap of the kernel brought from x[b, :, h, w]
 * into the result, [N, kH·kW·O]. Stride 1.
 */
function smallGradients(g: Tensor, x: Tensor, weight: Tensor, { padding }: ConvGeometry): [Tensor, Tensor] {
  const [out, channels, kernelH, kernelW] = weight.shape as Shape4;
  const [batch, , height, width] = x.shape as Shape4;
  const [top, left] = padding;
  const taps = kernelH * kernelW;
  const reached = unfold(g, [height, width], kernelH, kernelW, (h, w, i, j) => [h + top - i, w + left - j]);
  const byTap = transpose(reshape(weight, [out * channels, taps]), [1, 0]);
  const forX = matmul(reached, reshape(byTap, [taps * out, channels]));
  const pixels = reshape(transpose(x, [0, 2, 3, 1]), [batch * height * width, channels]);
  const forWeight = gemm(reached, pixels, undefined, { transposeA: true });
  return [
    reshape(transpose(reshape(forX, [batch, height * width, channels]), [0, 2, 1]), x.shape),
    reshape(rowsLast(reshape(forWeight, [taps, out * channels])), weight.shape),
  ];
}

/**
 * All taps in one matrix product: tap (i, j) is Σ g[h − i + top, w] · x[h, w + j − left], so kH copies of g shifted
 * by rows against kW copies of x shifted by columns, [kH·O, N] · [N, kW·C], make every pair of shifts at once.
 * Copies kH + kW times where unfolding x would copy kH · kW times. Stride 1.
 */
function weightGradientOfBatch(g: Tensor, x: Tensor, weight: Tensor, { padding }: ConvGeometry): Tensor {
  const [out, , kernelH, kernelW] = weight.shape as Shape4;
  const [batch, , height] = x.shape as Shape4;
  const width = g.shape[3]!;
  const [top, left, bottom] = padding;
  const rows = pad(transpose(g, [1, 0, 2, 3]), [
    [0, 0],
    [0, 0],
    [kernelH - 1 - top, kernelH - 1 - bottom],
    [0, 0],
  ]);
  const shifted = range(kernelH).map((i) => slice(rows, 2, kernelH - 1 - i, kernelH - 1 - i + height));
  const columns = unfold(x, [height, width], 1, kernelW, (h, w, _, j) => [h, w + j - left]);
  const product = matmul(reshape(concat(shifted, 0), [kernelH * out, batch * height * width]), columns);
  return tapsLast(product, weight);
}

/** The same, one product per picture and their sum: no exchange of batch and channels. Stride 1. */
function weightGradientPerPicture(g: Tensor, x: Tensor, weight: Tensor, { padding }: ConvGeometry): Tensor {
  const [out, channels, kernelH, kernelW] = weight.shape as Shape4;
  const [batch, , height] = x.shape as Shape4;
  const width = g.shape[3]!;
  const [top, left, bottom, right] = padding;
  const rows = pad(g, [
    [0, 0],
    [0, 0],
    [kernelH - 1 - top, kernelH - 1 - bottom],
    [0, 0],
  ]);
  const columns = pad(x, [
    [0, 0],
    [0, 0],
    [0, 0],
    [left, right],
  ]);
  const shiftedG = range(kernelH).map((i) => slice(rows, 2, kernelH - 1 - i, kernelH - 1 - i + height));
  const shiftedX = range(kernelW).map((j) => slice(columns, 3, j, j + width));
  const products = matmul(
    reshape(concat(shiftedG, 1), [batch, kernelH * out, height * width]),
    transpose(reshape(concat(shiftedX, 1), [batch, kernelW * channels, height * width]), [0, 2, 1]),
  );
  return tapsLast(reduceSum(products, [0]), weight);
}

/** Any stride and dilation: g against an unfolding of x, [N, kH·kW·C]. */
function weightGradientUnfolded(g: Tensor, x: Tensor, weight: Tensor, geometry: ConvGeometry): Tensor {
  const { stride, dilation, padding } = geometry;
  const [out, channels, kernelH, kernelW] = weight.shape as Shape4;
  const [batch, , outH, outW] = g.shape as Shape4;
  const [top, left] = padding;
  const taps = kernelH * kernelW;
  const seen = unfold(x, [outH, outW], kernelH, kernelW, (h, w, i, j) => [
    h * stride + i * dilation - top,
    w * stride + j * dilation - left,
  ]);
  const pixels = reshape(transpose(g, [0, 2, 3, 1]), [batch * outH * outW, out]);
  const product = gemm(seen, pixels, undefined, { transposeA: true });
  const channelsFirst = rowsLast(reshape(product, [taps, channels * out]));
  return reshape(transpose(reshape(channelsFirst, [channels, out, taps]), [1, 0, 2]), weight.shape);
}

/** [kH·O, kW·C] → [O, C, kH, kW], first in long runs, then the few taps. */
function tapsLast(product: Tensor, weight: Tensor): Tensor {
  const [out, channels, kernelH, kernelW] = weight.shape as Shape4;
  const byTap = transpose(reshape(product, [kernelH, out, kernelW, channels]), [0, 2, 1, 3]);
  return reshape(rowsLast(reshape(byTap, [kernelH * kernelW, out * channels])), weight.shape);
}

/**
 * The transpose of a matrix with few long rows, as a product with the identity. ONNX Runtime would merge a Transpose
 * with the Reshape behind it into one over four axes, which takes five times as long.
 */
function rowsLast(x: Tensor): Tensor {
  const rows = x.shape[0]!;
  const identity = Float32Array.from({ length: rows * rows }, (_, i) => (i % (rows + 1) === 0 ? 1 : 0));
  return gemm(x, constant(hostTensor(identity, [rows, rows])), undefined, { transposeA: true });
}

/**
 * Rows of pixels: for each of the batch's height·width places and each tap (i, j) the channels of x [B, C, H, W] at
 * `source(h, w, i, j)`, or zeros outside of x: [B·height·width, kernelH·kernelW·C].
 */
function unfold(
  x: Tensor,
  [height, width]: readonly [number, number],
  kernelH: number,
  kernelW: number,
  source: (h: number, w: number, i: number, j: number) => readonly [number, number],
): Tensor {
  const [batch, channels, sourceH, sourceW] = x.shape as Shape4;
  const places = batch * sourceH * sourceW;
  const taps = kernelH * kernelW;
  const ids = new BigInt64Array(batch * height * width * taps);
  let at = 0;
  for (let b = 0; b < batch; b++) {
    for (let h = 0; h < height; h++) {
      for (let w = 0; w < width; w++) {
        for (let tap = 0; tap < taps; tap++) {
          const [row, column] = source(h, w, Math.floor(tap / kernelW), tap % kernelW);
          const inside = row >= 0 && row < sourceH && column >= 0 && column < sourceW;
          ids[at++] = BigInt(inside ? (b * sourceH + row) * sourceW + column : places);
        }
      }
    }
  }
  const pixels = reshape(transpose(x, [0, 2, 3, 1]), [places, channels]);
  // One row of zeros behind the pixels stands for everything outside.
  const padded = pad(pixels, [
    [0, 1],
    [0, 0],
  ]);
  const rows = gather(padded, constant(hostTensor(ids, [batch * height * width, taps])));
  return reshape(rows, [batch * height * width, taps * channels]);
}

/** The matrix that reverses the order of a row's entries. */
function reversal(size: number): Tensor {
  const data = new Float32Array(size * size);
  for (let i = 0; i < size; i++) data[i * size + size - 1 - i] = 1;
  return constant(hostTensor(data, [size, size]));
}

const range = (count: number): number[] => [...new Array<number>(count).keys()];
