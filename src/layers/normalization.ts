/** Group and layer normalisation with learned scale and shift. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type Initializer, onesInitializer, zerosInitializer } from './initializers.ts';
import type { GroupStatistics, Params } from './params.ts';

/**
 * Normalises each of `groups` groups of channels over its channels and pixels, or by the statistics that `p` gives
 * instead. x: [B, C, H, W] → same.
 *
 * ```ts
 * groupNorm(p.in('norm1'), input('x', [2, 32, 8, 8]), 4).shape; // [2, 32, 8, 8]
 * ```
 */
export function groupNorm(p: Params, x: Tensor, groups: number, epsilon = 1e-5): Tensor {
  const channels = x.shape[1]!;
  const scale = p.weight('weight', [channels], onesInitializer);
  const bias = p.weight('bias', [channels], zerosInitializer);
  const given = p.statistics(x, groups);
  if (!given) return ops.groupNorm(x, scale, bias, groups, epsilon);
  // (x − mean) / √(variance + ε) · scale + bias as one factor and one summand for each channel.
  const batch = x.shape[0]!;
  const perChannel = (values: Tensor) =>
    ops.reshape(ops.expandTo(ops.reshape(values, [batch, groups, 1]), [batch, groups, channels / groups]), [
      batch,
      channels,
      1,
      1,
    ]);
  const deviation = ops.sqrt(ops.add(given.variance, epsilon));
  const factor = ops.divide(ops.reshape(scale, [1, channels, 1, 1]), perChannel(deviation));
  const summand = ops.subtract(
    ops.reshape(bias, [1, channels, 1, 1]),
    ops.multiply(perChannel(given.mean), factor),
  );
  return ops.add(ops.multiply(x, factor), summand);
}

/**
 * Mean and variance of each of `groups` groups of channels. x: [B, C, H, W] → [B, groups] each.
 *
 * ```ts
 * groupStatistics(input('x', [2, 32, 8, 8]), 4).mean.shape; // [2, 4]
 * ```
 */
export function groupStatistics(x: Tensor, groups: number): GroupStatistics {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const grouped = ops.reshape(x, [batch, groups, (channels / groups) * height * width]);
  const mean = ops.reduceMean(grouped, [2], true);
  const variance = ops.reduceMean(ops.square(ops.subtract(grouped, mean)), [2]);
  return { mean: ops.reshape(mean, [batch, groups]), variance };
}

/**
 * Normalises over the last axis. x: [..., C] → same.
 *
 * ```ts
 * layerNorm(p.in('norm2'), input('x', [2, 77, 32])).shape; // [2, 77, 32]
 * ```
 */
export function layerNorm(
  p: Params,
  x: Tensor,
  epsilon = 1e-5,
  scaleInitializer: Initializer = onesInitializer,
): Tensor {
  const features = x.shape.at(-1)!;
  const scale = p.weight('weight', [features], scaleInitializer);
  return ops.layerNorm(x, scale, p.weight('bias', [features], zerosInitializer), epsilon);
}
