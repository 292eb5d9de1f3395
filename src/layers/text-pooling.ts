/** What a text says as a whole, from the states of its tokens: diffusers' `TextTimeEmbedding`. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { normalInitializer, zerosInitializer } from './initializers.ts';
import { linear } from './linear.ts';
import { layerNorm } from './normalization.ts';
import type { Params } from './params.ts';

/**
 * Attention pooling between two normalisations: the mean state asks, mean and states answer (Saharia et al. 2022,
 * section D.1, as DeepFloyd IF and diffusers build it). states: [B, L, D] → [B, channels].
 *
 * ```ts
 * pooledTextEmbedding(p.in('add_embedding'), input('states', [2, 77, 32]), 128, 4).shape; // [2, 128]
 * ```
 */
export function pooledTextEmbedding(p: Params, states: Tensor, channels: number, heads: number): Tensor {
  const pooled = attentionPooling(p.in('pool'), layerNorm(p.in('norm1'), states), heads);
  // The scale is zero at first, so that a UNet that was trained without it starts as it was.
  return layerNorm(p.in('norm2'), linear(p.in('proj'), pooled, channels), 1e-5, zerosInitializer);
}

/** [B, L, D] → [B, D]. */
function attentionPooling(p: Params, states: Tensor, heads: number): Tensor {
  const [batch, , width] = states.shape as [number, number, number];
  const position = p.weight('positional_embedding', [1, width], normalInitializer(width ** -0.5));
  const mean = ops.add(ops.reduceMean(states, [1], true), position);
  const all = ops.concat([mean, states], 1);
  const [q, k, v] = (['q_proj', 'k_proj', 'v_proj'] as const).map((name) =>
    linear(p.in(name), name === 'q_proj' ? mean : all, width),
  );
  return ops.reshape(ops.attention(q!, k!, v!, { heads }), [batch, width]);
}
