/** The UNet's transformer: self-attention among pixels, cross-attention to the prompt, feed-forward. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { attention, type FurtherContext, toFeatureMap, toSequence } from './attention.ts';
import { conv2d, linear, linears } from './linear.ts';
import { groupNorm, layerNorm } from './normalization.ts';
import type { Params } from './params.ts';

/** How many blocks of how many heads, and what stands around them. */
export interface Transformer2DOptions {
  readonly heads: number;
  /** The number of transformer blocks. */
  readonly layers: number;
  readonly groups: number;
  /** Whether the projections around the blocks are linear layers (SD 2, SDXL) or 1×1 convolutions (SD 1). */
  readonly linearProjection: boolean;
  /** What the cross-attentions attend to beside the context. */
  readonly further?: readonly FurtherContext[];
}

/**
 * diffusers' `Transformer2DModel`. x: [B, C, H, W], context: [B, S, D] → [B, C, H, W].
 *
 * ```ts
 * transformer2D(p.in('attentions.0'), input('x', [2, 32, 8, 8]), input('text', [2, 77, 48]), { heads: 4, layers: 1, groups: 4, linearProjection: true }).shape; // [2, 32, 8, 8]
 * ```
 */
export function transformer2D(p: Params, x: Tensor, context: Tensor, options: Transformer2DOptions): Tensor {
  const { layers, groups, linearProjection } = options;
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const normalized = groupNorm(p.in('norm'), x, groups, 1e-6);

  let h = linearProjection
    ? linear(p.in('proj_in'), toSequence(normalized), channels)
    : toSequence(conv2d(p.in('proj_in'), normalized, channels, { kernel: 1 }));
  for (let i = 0; i < layers; i++) {
    h = transformerBlock(p.in('transformer_blocks').in(i), h, context, options);
  }
  const out = linearProjection
    ? toFeatureMap(linear(p.in('proj_out'), h, channels), height, width)
    : conv2d(p.in('proj_out'), toFeatureMap(h, height, width), channels, { kernel: 1 });
  return ops.add(out, x);
}

/** diffusers' `BasicTransformerBlock`. x: [B, L, C], context: [B, S, D] → [B, L, C]. */
function transformerBlock(
  p: Params,
  x: Tensor,
  context: Tensor,
  { heads, further }: Transformer2DOptions,
): Tensor {
  const normalized = layerNorm(p.in('norm1'), x);
  let h = ops.add(x, attention(p.in('attn1'), normalized, normalized, { heads }));
  h = ops.add(h, attention(p.in('attn2'), layerNorm(p.in('norm2'), h), context, { heads, further }));
  return ops.add(h, feedForward(p.in('ff'), layerNorm(p.in('norm3'), h)));
}

/** Two layers with a gated GELU between them (GEGLU, Shazeer 2020), four times as wide inside. */
function feedForward(p: Params, x: Tensor): Tensor {
  const channels = x.shape.at(-1)!;
  const inner = 4 * channels;
  const [value, gate] = linears(p.in('net.0.proj'), x, [inner, inner]);
  return linear(p.in('net.2'), ops.multiply(value!, ops.gelu(gate!)), channels);
}
