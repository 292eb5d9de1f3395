/** Embeddings of timesteps (and of other plain numbers) and of token ids. */
import { hostTensor } from '../graph/host-tensor.ts';
import * as ops from '../graph/operators/index.ts';
import { constant, type Tensor } from '../graph/tensor.ts';
import { type ActivationName, activation } from './activations.ts';
import { type Initializer, normalInitializer } from './initializers.ts';
import { linear } from './linear.ts';
import type { Params } from './params.ts';

/** In which order and at which frequencies the waves stand. */
export interface SinusoidOptions {
  /** [cos, sin] rather than [sin, cos]; Stable Diffusion's UNets have it. */
  readonly flipSinToCos: boolean;
  /** What is subtracted from the number of frequencies in the denominator; 0 in Stable Diffusion. */
  readonly frequencyShift: number;
}

/**
 * Sinusoids of `values` at geometrically spaced frequencies 10000^(−i/(n − shift)), n = ⌊channels/2⌋
 * (Vaswani et al. 2017, section 3.5, with sines and cosines in two halves). values: [N] → [N, channels].
 *
 * ```ts
 * sinusoid(input('t', [2]), 32, { flipSinToCos: true, frequencyShift: 0 }).shape; // [2, 32]
 * ```
 */
export function sinusoid(values: Tensor, channels: number, options: SinusoidOptions): Tensor {
  const half = channels >> 1;
  const frequencies = new Float32Array(half);
  const step = Math.fround(-Math.log(10000));
  for (let i = 0; i < half; i++) {
    // The exponent is rounded to float32 where PyTorch rounds: at t = 999 the last bit is visible in the sines.
    const exponent = Math.fround(Math.fround(step * i) / (half - options.frequencyShift));
    frequencies[i] = Math.exp(exponent);
  }
  const count = values.shape[0]!;
  const angles = ops.multiply(ops.reshape(values, [count, 1]), constant(hostTensor(frequencies, [1, half])));
  const waves = [ops.sin(angles), ops.cos(angles)];
  if (options.flipSinToCos) waves.reverse();
  const embedding = ops.concat(waves, 1);
  if (channels === 2 * half) return embedding;
  return ops.pad(embedding, [
    [0, 0],
    [0, 1],
  ]);
}

/** The activation between the two layers, and a second condition. */
export interface TimestepEmbeddingOptions {
  readonly activation: ActivationName;
  /** What is added to the sinusoid through `cond_proj`: the guidance embedding of a consistency model, [B, W]. */
  readonly condition?: Tensor | undefined;
}

/**
 * diffusers' `TimestepEmbedding`, a two-layer perceptron. x: [B, C] → [B, channels].
 *
 * ```ts
 * timestepEmbedding(p.in('time_embedding'), input('waves', [2, 32]), 128, { activation: 'silu' }).shape; // [2, 128]
 * ```
 */
export function timestepEmbedding(
  p: Params,
  x: Tensor,
  channels: number,
  options: TimestepEmbeddingOptions,
): Tensor {
  const { condition } = options;
  const h = condition ? ops.add(x, linear(p.in('cond_proj'), condition, x.shape[1]!, { bias: false })) : x;
  const hidden = activation(options.activation, linear(p.in('linear_1'), h, channels));
  return linear(p.in('linear_2'), hidden, channels);
}

/**
 * Rows of a learned table. ids: int64 of any shape → [...ids, channels]; weight [count, channels].
 *
 * ```ts
 * embedding(p.in('token_embedding'), input('ids', [2, 77], 'int64'), 1000, 32).shape; // [2, 77, 32]
 * ```
 */
export function embedding(
  p: Params,
  ids: Tensor,
  count: number,
  channels: number,
  initializer: Initializer = normalInitializer(1),
): Tensor {
  return ops.gather(p.weight('weight', [count, channels], initializer), ids);
}
