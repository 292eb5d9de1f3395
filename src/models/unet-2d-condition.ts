/**
 * The denoising UNet of Stable Diffusion 1, 2, XL and of the consistency models distilled from them:
 * diffusers' `UNet2DConditionModel` (Rombach et al. 2022; guidance embedding: Luo et al. 2023, section 4.1).
 */
import { UsageError } from '../errors.ts';
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { activation } from '../layers/activations.ts';
import type { FurtherContext } from '../layers/attention.ts';
import { sinusoid, timestepEmbedding } from '../layers/embeddings.ts';
import { conv2d } from '../layers/linear.ts';
import { groupNorm } from '../layers/normalization.ts';
import type { Params } from '../layers/params.ts';
import { downsample, resnetBlock, upsample } from '../layers/resnet-block.ts';
import { pooledTextEmbedding } from '../layers/text-pooling.ts';
import { transformer2D } from '../layers/transformer-2d.ts';
import type { UNet2DConditionConfig } from './unet-2d-condition-config.ts';
import { type Depth, depthInMiddle, depthsDown, depthsUp } from './unet-2d-condition-layout.ts';

/** What the UNet sees in one pass. */
export interface UNet2DConditionInputs {
  /** Noisy latents, [B, in_channels, H, W]; for inpainting with mask and masked image as further channels. */
  readonly sample: Tensor;
  /** [B] float32, 0 to 999. */
  readonly timestep: Tensor;
  /** States of the text encoder, [B, L, cross_attention_dim]. */
  readonly encoderHiddenStates: Tensor;
  /** Guidance embedding, [B, time_cond_proj_dim]; diffusers allows leaving it out. */
  readonly timestepCond?: Tensor | undefined;
  /** SDXL's further conditions. */
  readonly addedCond?: AddedCond | undefined;
  /** What the cross-attentions attend to beside the text: pictures, with an IP-Adapter. */
  readonly furtherContexts?: readonly FurtherContext[] | undefined;
  /** What is added to what the encoder half hands on, as a ControlNet says (Zhang et al. 2023, section 3.2). */
  readonly residuals?: UNetFeatures | undefined;
}

/** What the encoder half of a UNet hands on: a tensor for each skip connection, and the middle. */
export interface UNetFeatures {
  /** In the order in which they are made, from the largest on, each [B, C, h, w]. */
  readonly skips: readonly Tensor[];
  /** [B, C, h, w]. */
  readonly middle: Tensor;
}

/** What SDXL is told beside the text states. */
export interface AddedCond {
  /** Pooled prompt, [B, P]. */
  readonly textEmbeds: Tensor;
  /** Original size, crop corner and target size, [B, 6] float32. */
  readonly timeIds: Tensor;
}

/**
 * What the network predicts (noise, velocity or clean latents, as it was trained), [B, out_channels, H, W].
 * Any H and W will do. Throws UsageError for inputs that do not belong to this config.
 */
export function unet2DCondition(
  config: UNet2DConditionConfig,
  p: Params,
  inputs: UNet2DConditionInputs,
): Tensor {
  const channels = config.block_out_channels;
  const levels = channels.length;
  if (inputs.sample.shape[1] !== config.in_channels) {
    throw new UsageError(
      `the sample has ${inputs.sample.shape[1]} channels; in_channels in this UNet's config is ${config.in_channels}`,
    );
  }
  const block = unetConditioning(config, p, inputs);
  const sample = config.center_input_sample ? ops.subtract(ops.multiply(inputs.sample, 2), 1) : inputs.sample;
  const start = conv2d(p.in('conv_in'), sample, channels[0]!, { kernel: config.conv_in_kernel });
  const encoded = unetEncoder(p, block, start);
  const { skips, middle } = inputs.residuals ? added(encoded, inputs.residuals) : encoded;
  const waiting = [...skips];

  let h = middle;
  for (let up = 0; up < levels; up++) {
    const level = levels - 1 - up;
    const scope = p.in('up_blocks').in(up);
    for (const [i, depth] of depthsUp(config, up).entries()) {
      const joined = ops.concat([h, waiting.pop()!], 1);
      h = resnet(block, scope.in('resnets').in(i), joined, channels[level]!);
      h = transformer(block, scope.in('attentions').in(i), h, level, depth);
    }
    if (level > 0) {
      // To the size of the next skip connection: twice the size, or one less where halving rounded up.
      const [, , height, width] = waiting.at(-1)!.shape as [number, number, number, number];
      h = upsample(scope.in('upsamplers.0'), h, height, width);
    }
  }

  h = groupNorm(p.in('conv_norm_out'), h, config.norm_num_groups, config.norm_eps);
  h = activation(config.act_fn, h);
  return conv2d(p.in('conv_out'), h, config.out_channels, { kernel: config.conv_out_kernel });
}

/**
 * The encoder half, from what the first convolution gives, [B, C, H, W], to the middle. ControlNets have the same half
 * with further layers behind each of its results.
 */
export function unetEncoder(p: Params, block: Block, start: Tensor): UNetFeatures {
  const { config } = block;
  const channels = config.block_out_channels;
  const levels = channels.length;
  let h = start;
  const skips = [h];
  for (let level = 0; level < levels; level++) {
    const scope = p.in('down_blocks').in(level);
    for (const [i, depth] of depthsDown(config, level).entries()) {
      h = resnet(block, scope.in('resnets').in(i), h, channels[level]!);
      h = transformer(block, scope.in('attentions').in(i), h, level, depth);
      skips.push(h);
    }
    if (level < levels - 1) {
      h = downsample(scope.in('downsamplers.0'), h, config.downsample_padding);
      skips.push(h);
    }
  }

  if (config.mid_block_type !== null) {
    const scope = p.in('mid_block');
    h = resnet(block, scope.in('resnets.0'), h, channels[levels - 1]!);
    if (config.mid_block_type === 'UNetMidBlock2DCrossAttn') {
      h = transformer(block, scope.in('attentions.0'), h, levels - 1, depthInMiddle(config));
      h = resnet(block, scope.in('resnets.1'), h, channels[levels - 1]!);
    }
  }
  return { skips, middle: h };
}

/** Throws UsageError for residuals of another network. */
function added({ skips, middle }: UNetFeatures, residuals: UNetFeatures): UNetFeatures {
  if (skips.length !== residuals.skips.length) {
    throw new UsageError(
      `${residuals.skips.length} residuals for the ${skips.length} skip connections of this UNet: they come from a network of another layout`,
    );
  }
  return {
    skips: skips.map((skip, i) => ops.add(skip, residuals.skips[i]!)),
    middle: ops.add(middle, residuals.middle),
  };
}

/** What all blocks of one forward pass share. */
export interface Block {
  readonly config: UNet2DConditionConfig;
  /** The embedding of time, guidance and sizes, [B, E]. */
  readonly temb: Tensor;
  /** [B, L, D]. */
  readonly context: Tensor;
  readonly further: readonly FurtherContext[];
}

/** What the blocks are told. Throws UsageError for inputs that do not belong to this config. */
export function unetConditioning(
  config: UNet2DConditionConfig,
  p: Params,
  inputs: Omit<UNet2DConditionInputs, 'sample' | 'residuals'>,
): Block {
  return {
    config,
    temb: conditioning(config, p, inputs),
    context: inputs.encoderHiddenStates,
    further: inputs.furtherContexts ?? [],
  };
}

function resnet({ config, temb }: Block, p: Params, x: Tensor, channels: number): Tensor {
  return resnetBlock(p, x, temb, channels, {
    groups: config.norm_num_groups,
    epsilon: config.norm_eps,
    activation: config.act_fn,
  });
}

/** x where there is no transformer. */
function transformer(
  { config, context, further }: Block,
  p: Params,
  x: Tensor,
  level: number,
  layers: Depth,
): Tensor {
  if (layers === undefined) return x;
  return transformer2D(p, x, context, {
    heads: config.attention_head_dim[level]!,
    layers,
    groups: config.norm_num_groups,
    linearProjection: config.use_linear_projection,
    further,
  });
}

/** The embedding of timestep, guidance scale, text as a whole and SDXL's sizes that every residual block sees, [B, E]. */
function conditioning(
  config: UNet2DConditionConfig,
  p: Params,
  inputs: Omit<UNet2DConditionInputs, 'sample'>,
): Tensor {
  const { timestep, timestepCond, addedCond, encoderHiddenStates } = inputs;
  const waves = { flipSinToCos: config.flip_sin_to_cos, frequencyShift: config.freq_shift };
  const channels = config.time_embedding_dim ?? 4 * config.block_out_channels[0]!;

  const width = timestepCond?.shape[1];
  if (timestepCond && width !== config.time_cond_proj_dim) {
    throw new UsageError(
      config.time_cond_proj_dim === null
        ? 'this UNet takes no guidance embedding: its config has no time_cond_proj_dim; leave timestepCond out'
        : `timestepCond is ${width} wide; time_cond_proj_dim in this UNet's config is ${config.time_cond_proj_dim}`,
    );
  }
  const time = timestepEmbedding(
    p.in('time_embedding'),
    sinusoid(timestep, config.block_out_channels[0]!, waves),
    channels,
    { activation: config.act_fn, condition: timestepCond },
  );
  if (config.addition_embed_type === null) return time;
  const scope = p.in('add_embedding');
  if (config.addition_embed_type === 'text') {
    const { addition_embed_type_num_heads: heads } = config;
    return ops.add(time, pooledTextEmbedding(scope, encoderHiddenStates, channels, heads));
  }

  if (!addedCond) {
    throw new UsageError(
      'this UNet (addition_embed_type "text_time") needs addedCond: textEmbeds and timeIds',
    );
  }
  const { textEmbeds, timeIds } = addedCond;
  const [batch, count] = timeIds.shape as [number, number];
  const dim = config.addition_time_embed_dim!;
  const sizes = sinusoid(ops.reshape(timeIds, [batch * count]), dim, waves);
  const added = ops.concat([textEmbeds, ops.reshape(sizes, [batch, count * dim])], 1);
  if (added.shape[1] !== config.projection_class_embeddings_input_dim) {
    throw new UsageError(
      `textEmbeds [${textEmbeds.shape}] and timeIds [${timeIds.shape}] give ${added.shape[1]} features; ` +
        `projection_class_embeddings_input_dim in this UNet's config is ${config.projection_class_embeddings_input_dim}`,
    );
  }
  return ops.add(time, timestepEmbedding(scope, added, channels, { activation: config.act_fn }));
}
