/** The Gaussian over latents that an autoencoder's encoder describes: diffusers' `DiagonalGaussianDistribution`. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';

export interface DiagonalGaussian {
  /** [B, C, h, w] */
  readonly mean: Tensor;
  /** Logarithm of the variance, clamped to [−30, 20], [B, C, h, w]. */
  readonly logVariance: Tensor;
}

/** moments: [B, 2·C, h, w], as `encode` gives them. */
export function diagonalGaussian(moments: Tensor): DiagonalGaussian {
  const channels = moments.shape[1]! / 2;
  const [mean, logVariance] = ops.split(moments, [channels, channels], 1);
  return { mean: mean!, logVariance: ops.clamp(logVariance!, -30, 20) };
}

/** mean + σ·noise; noise: standard normal, [B, C, h, w] (Kingma & Welling 2014, section 2.4). */
export function reparametrize({ mean, logVariance }: DiagonalGaussian, noise: Tensor): Tensor {
  return ops.add(mean, ops.multiply(ops.exp(ops.multiply(logVariance, 0.5)), noise));
}

/** KL divergence from the standard normal, summed over an image's latents: [B] (ibid., appendix B). */
export function klDivergence({ mean, logVariance }: DiagonalGaussian): Tensor {
  const perElement = ops.subtract(ops.add(ops.square(mean), ops.exp(logVariance)), ops.add(logVariance, 1));
  return ops.multiply(ops.reduceSum(perElement, [1, 2, 3]), 0.5);
}
