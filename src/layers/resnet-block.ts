/** The residual block of UNets and autoencoders, and the layers that change the resolution between them. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type ActivationName, activation } from './activations.ts';
import { conv2d, linear } from './linear.ts';
import { groupNorm } from './normalization.ts';
import type { Params } from './params.ts';

/** Of the two group norms, and of the activation behind each. */
export interface ResnetBlockOptions {
  readonly groups: number;
  readonly epsilon: number;
  readonly activation: ActivationName;
}

/**
 * diffusers' `ResnetBlock2D`, with or without conditioning on time.
 * x: [B, C, H, W], temb: [B, E] or undefined → [B, channels, H, W].
 *
 * ```ts
 * resnetBlock(p.in('resnets.0'), input('x', [2, 32, 8, 8]), input('temb', [2, 128]), 64, { groups: 4, epsilon: 1e-5, activation: 'silu' }).shape; // [2, 64, 8, 8]
 * ```
 */
export function resnetBlock(
  p: Params,
  x: Tensor,
  temb: Tensor | undefined,
  channels: number,
  options: ResnetBlockOptions,
): Tensor {
  const { groups, epsilon } = options;
  const act = (h: Tensor) => activation(options.activation, h);
  let h = conv2d(p.in('conv1'), act(groupNorm(p.in('norm1'), x, groups, epsilon)), channels);
  if (temb) {
    const shift = linear(p.in('time_emb_proj'), act(temb), channels);
    h = ops.add(h, ops.reshape(shift, [shift.shape[0]!, channels, 1, 1]));
  }
  h = conv2d(p.in('conv2'), act(groupNorm(p.in('norm2'), h, groups, epsilon)), channels);
  const skip = x.shape[1] === channels ? x : conv2d(p.in('conv_shortcut'), x, channels, { kernel: 1 });
  return ops.add(skip, h);
}

/**
 * Halves the resolution by a strided convolution. [B, C, H, W] → [B, C, H', W']: H' = ⌈H/2⌉ with padding 1;
 * with padding 0 diffusers pads one row below and one column to the right instead, and H' = ⌊H/2⌋.
 *
 * ```ts
 * downsample(p.in('downsamplers.0'), input('x', [2, 32, 8, 8]), 1).shape; // [2, 32, 4, 4]
 * ```
 */
export function downsample(p: Params, x: Tensor, padding: number): Tensor {
  return conv2d(p.in('conv'), x, x.shape[1]!, {
    stride: 2,
    padding: padding === 0 ? [0, 0, 1, 1] : padding,
  });
}

/**
 * Nearest neighbour to [height, width], then a convolution. [B, C, H, W] → [B, C, height, width].
 *
 * ```ts
 * upsample(p.in('upsamplers.0'), input('x', [2, 32, 8, 8]), 16, 16).shape; // [2, 32, 16, 16]
 * ```
 */
export function upsample(p: Params, x: Tensor, height: number, width: number): Tensor {
  return conv2d(p.in('conv'), ops.resizeNearest(x, [height, width]), x.shape[1]!);
}
