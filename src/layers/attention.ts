/** Multi-head attention as diffusers' `Attention` module has it. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { linear } from './linear.ts';
import type { Params } from './params.ts';

/** How an attention layer is built, and what else it attends to. */
export interface AttentionOptions {
  readonly heads: number;
  /** Whether the projections to query, key and value have a bias; that of the output always does. */
  readonly bias?: boolean;
  /** What is attended to beside the context; see `FurtherContext`. */
  readonly further?: readonly FurtherContext[];
}

/**
 * What a query attends to besides its usual context, with keys and values of its own: the results are added up before
 * the output projection, which is IP-Adapter's decoupled cross-attention (Ye et al. 2023, equation 5).
 */
export interface FurtherContext {
  /** [B, S, D]. */
  readonly states: Tensor;
  /** What the projections are called within an attention layer: `processor.to_k_ip.0`, `processor.to_v_ip.0`. */
  readonly keys: string;
  readonly values: string;
  /** What the result counts: a number, or one for each sample, [B, 1, 1]. Default 1. */
  readonly scale?: Tensor | number;
}

/**
 * softmax(q·kᵀ/√d)·v per head, q from `x`, k and v from `context`, then the output projection.
 * x: [B, L, C], context: [B, S, D] → [B, L, C]. Self-attention is `attention(p, x, x, …)`.
 *
 * ```ts
 * attention(p.in('attn2'), input('x', [2, 64, 32]), input('text', [2, 77, 48]), { heads: 4 }).shape; // [2, 64, 32]
 * ```
 */
export function attention(p: Params, x: Tensor, context: Tensor, options: AttentionOptions): Tensor {
  const { heads, bias = false, further = [] } = options;
  const channels = x.shape.at(-1)!;
  const q = linear(p.in('to_q'), x, channels, { bias });
  const k = linear(p.in('to_k'), context, channels, { bias });
  const v = linear(p.in('to_v'), context, channels, { bias });
  let attended = ops.attention(q, k, v, { heads });
  for (const { states, keys, values, scale = 1 } of further) {
    const [k, v] = [keys, values].map((name) => linear(p.in(name), states, channels, { bias: false }));
    attended = ops.add(attended, ops.multiply(ops.attention(q, k!, v!, { heads }), scale));
  }
  return linear(p.in('to_out.0'), attended, channels);
}

/**
 * [B, C, H, W] → [B, H·W, C]: pixels become the positions of a sequence.
 *
 * ```ts
 * toSequence(input('x', [2, 32, 8, 4])).shape; // [2, 32, 32]
 * ```
 */
export function toSequence(x: Tensor): Tensor {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  return ops.reshape(ops.transpose(x, [0, 2, 3, 1]), [batch, height * width, channels]);
}

/**
 * [B, H·W, C] → [B, C, H, W], the inverse of `toSequence`.
 *
 * ```ts
 * toFeatureMap(input('x', [2, 32, 16]), 8, 4).shape; // [2, 16, 8, 4]
 * ```
 */
export function toFeatureMap(x: Tensor, height: number, width: number): Tensor {
  const [batch, , channels] = x.shape as [number, number, number];
  return ops.transpose(ops.reshape(x, [batch, height, width, channels]), [0, 3, 1, 2]);
}
