/** Affine maps over the last axis, and affine maps of feature maps: PyTorch's Linear and Conv2d. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { fanInInitializer, type Initializer } from './initializers.ts';
import type { Params } from './params.ts';

/** Whether there is a bias, and how the weights start. */
export interface LinearOptions {
  readonly bias?: boolean;
  /** How the weight starts; PyTorch's default, U(±1/√in), if not given. */
  readonly initializer?: Initializer;
  /** How the bias starts; PyTorch's default, U(±1/√in), if not given. */
  readonly biasInitializer?: Initializer;
}

/**
 * x·Wᵀ + b over the last axis. x: [..., in] → [..., out]; weight [out, in], bias [out].
 *
 * ```ts
 * linear(p.in('to_out'), input('x', [2, 77, 32]), 64).shape; // [2, 77, 64]
 * ```
 */
export function linear(p: Params, x: Tensor, out: number, options: LinearOptions = {}): Tensor {
  return linears(p, x, [out], options)[0]!;
}

/**
 * What `linear` gives, cut along the last axis into pieces of the given widths. It is the weight that is cut, which is
 * smaller than the result. x: [..., in] → [..., out] each; weight [Σ out, in], bias [Σ out].
 *
 * ```ts
 * linears(p.in('proj'), input('x', [2, 77, 32]), [64, 64]).map((y) => y.shape); // [[2, 77, 64], [2, 77, 64]]
 * ```
 */
export function linears(
  p: Params,
  x: Tensor,
  widths: readonly number[],
  options: LinearOptions = {},
): Tensor[] {
  const out = widths.reduce((sum, width) => sum + width, 0);
  const leading = x.shape.slice(0, -1);
  const features = x.shape.at(-1)!;
  const standard = fanInInitializer(features);
  const weight = p.weight('weight', [out, features], options.initializer ?? standard);
  const bias =
    (options.bias ?? true) ? p.weight('bias', [out], options.biasInitializer ?? standard) : undefined;
  const rows = leading.reduce((product, size) => product * size, 1);
  const flat = leading.length === 1 ? x : ops.reshape(x, [rows, features]);
  const biases = bias && ops.split(bias, widths, 0);
  return ops.split(weight, widths, 0).map((part, i) => {
    const y = ops.gemm(flat, part, biases?.[i], { transposeB: true });
    return leading.length === 1 ? y : ops.reshape(y, [...leading, widths[i]!]);
  });
}

/** Kernel (3 by default), stride (1), padding, and whether there is a bias. */
export interface Conv2dOptions {
  readonly kernel?: number;
  readonly stride?: number;
  /** On all four sides, or [top, left, bottom, right]; by default what keeps the size at stride 1. */
  readonly padding?: number | readonly [number, number, number, number];
  readonly bias?: boolean;
}

/**
 * A convolution of feature maps. x: [B, C, H, W] → [B, out, H', W']; weight [out, C, kernel, kernel], bias [out].
 *
 * ```ts
 * conv2d(p.in('conv_in'), input('x', [2, 4, 8, 8]), 32, { stride: 2 }).shape; // [2, 32, 4, 4]
 * ```
 */
export function conv2d(p: Params, x: Tensor, out: number, options: Conv2dOptions = {}): Tensor {
  const { kernel = 3, stride = 1, padding = (kernel - 1) >> 1, bias = true } = options;
  const channels = x.shape[1]!;
  const initializer = fanInInitializer(channels * kernel * kernel);
  return ops.conv2d(
    x,
    p.weight('weight', [out, channels, kernel, kernel], initializer),
    bias ? p.weight('bias', [out], initializer) : undefined,
    { stride, padding },
  );
}
