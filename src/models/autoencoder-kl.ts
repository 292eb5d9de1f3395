/**
 * The autoencoder of Stable Diffusion: diffusers' `AutoencoderKL` (Rombach et al. 2022, section 3.1). It turns
 * pictures into the moments of a Gaussian over latents, and latents into pictures.
 */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type ActivationName, activation, activationNames } from '../layers/activations.ts';
import { attention, toFeatureMap, toSequence } from '../layers/attention.ts';
import { conv2d } from '../layers/linear.ts';
import { groupNorm } from '../layers/normalization.ts';
import type { Params } from '../layers/params.ts';
import { downsample, resnetBlock, upsample } from '../layers/resnet-block.ts';
import { shown } from '../messages.ts';
import { configFields } from './config.ts';
import { LAYERS, SCALES, SHIFTS, SIDES, WIDTHS } from './limits.ts';

/** diffusers' field names; written back as JSON it is again a config that diffusers reads. */
export interface AutoencoderKLConfig {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly down_block_types: readonly 'DownEncoderBlock2D'[];
  readonly up_block_types: readonly 'UpDecoderBlock2D'[];
  readonly block_out_channels: readonly number[];
  readonly layers_per_block: number;
  readonly act_fn: ActivationName;
  readonly latent_channels: number;
  readonly norm_num_groups: number;
  /** Picture size the model was trained at, in pixels, one number or height and width; not a limit. */
  readonly sample_size: number | readonly [number, number];
  /** The diffusion model sees (latents − shift_factor)·scaling_factor; applying it is up to the pipeline. */
  readonly scaling_factor: number;
  readonly shift_factor: number | null;
  readonly use_quant_conv: boolean;
  readonly use_post_quant_conv: boolean;
  readonly mid_block_add_attention: boolean;
}

const EPSILON = 1e-6;

/** Checks a config.json. Throws InputError naming the field that is wrong or not supported. */
export function autoencoderKLConfig(json: unknown): AutoencoderKLConfig {
  const fields = configFields('AutoencoderKL', json);
  const channels = fields.integers('block_out_channels', [64], WIDTHS);
  const config: AutoencoderKLConfig = {
    in_channels: fields.integer('in_channels', 3, WIDTHS),
    out_channels: fields.integer('out_channels', 3, WIDTHS),
    down_block_types: fields.choices('down_block_types', ['DownEncoderBlock2D'], ['DownEncoderBlock2D']),
    up_block_types: fields.choices('up_block_types', ['UpDecoderBlock2D'], ['UpDecoderBlock2D']),
    block_out_channels: channels,
    layers_per_block: fields.integer('layers_per_block', 1, LAYERS),
    act_fn: fields.choice('act_fn', activationNames, 'silu'),
    latent_channels: fields.integer('latent_channels', 4, WIDTHS),
    norm_num_groups: fields.integer('norm_num_groups', 32, WIDTHS),
    sample_size: fields.optionalSize('sample_size', SIDES) ?? 32,
    scaling_factor: fields.number('scaling_factor', 0.18215, SCALES),
    shift_factor: fields.optionalNumber('shift_factor', SHIFTS),
    use_quant_conv: fields.boolean('use_quant_conv', true),
    use_post_quant_conv: fields.boolean('use_post_quant_conv', true),
    mid_block_add_attention: fields.boolean('mid_block_add_attention', true),
  };
  fields.only('latents_mean', null);
  fields.only('latents_std', null);
  // Says that float16 overflows in this autoencoder; here it is computed in float32.
  fields.ignore('force_upcast');
  fields.finish();

  fields.blocks('layers_per_block', channels.length * (2 * config.layers_per_block + 1));

  const perLevel = `${channels.length} entries, one for each of block_out_channels`;
  if (config.down_block_types.length !== channels.length) fields.fail('down_block_types', perLevel);
  if (config.up_block_types.length !== channels.length) fields.fail('up_block_types', perLevel);
  if (channels.some((count) => count % config.norm_num_groups !== 0)) {
    fields.fail('norm_num_groups', `a divisor of each of block_out_channels ${shown(channels)}`);
  }
  return config;
}

/** How many pixels, along each side, one latent pixel stands for. */
export function downsamplingFactor(config: { readonly block_out_channels: readonly number[] }): number {
  return 2 ** (config.block_out_channels.length - 1);
}

/**
 * Moments of the posterior: mean, then logarithm of the variance (see `diagonalGaussian`).
 * pixels: [B, in_channels, H, W] in [−1, 1] → [B, 2·latent_channels, ⌊H/f⌋, ⌊W/f⌋], f = `downsamplingFactor`.
 */
export function encode(config: AutoencoderKLConfig, p: Params, pixels: Tensor): Tensor {
  const channels = config.block_out_channels;
  const last = channels.length - 1;
  const encoder = p.in('encoder');
  let h = conv2d(encoder.in('conv_in'), pixels, channels[0]!);
  for (let level = 0; level <= last; level++) {
    const scope = encoder.in('down_blocks').in(level);
    for (let i = 0; i < config.layers_per_block; i++) {
      h = resnet(config, scope.in('resnets').in(i), h, channels[level]!);
    }
    if (level < last) h = downsample(scope.in('downsamplers.0'), h, 0);
  }
  h = midBlock(config, encoder.in('mid_block'), h);
  h = normalizeAndActivate(config, encoder.in('conv_norm_out'), h);
  h = conv2d(encoder.in('conv_out'), h, 2 * config.latent_channels);
  return config.use_quant_conv ? conv2d(p.in('quant_conv'), h, 2 * config.latent_channels, { kernel: 1 }) : h;
}

/**
 * latents (not scaled): [B, latent_channels, h, w] → pixels [B, out_channels, f·h, f·w], about in [−1, 1] and
 * not clamped.
 */
export function decode(config: AutoencoderKLConfig, p: Params, latents: Tensor): Tensor {
  const channels = config.block_out_channels;
  const last = channels.length - 1;
  const decoder = p.in('decoder');
  let h = config.use_post_quant_conv
    ? conv2d(p.in('post_quant_conv'), latents, config.latent_channels, { kernel: 1 })
    : latents;
  h = conv2d(decoder.in('conv_in'), h, channels[last]!);
  h = midBlock(config, decoder.in('mid_block'), h);
  for (let up = 0; up <= last; up++) {
    const scope = decoder.in('up_blocks').in(up);
    for (let i = 0; i <= config.layers_per_block; i++) {
      h = resnet(config, scope.in('resnets').in(i), h, channels[last - up]!);
    }
    if (up < last) {
      const [, , height, width] = h.shape as [number, number, number, number];
      h = upsample(scope.in('upsamplers.0'), h, 2 * height, 2 * width);
    }
  }
  h = normalizeAndActivate(config, decoder.in('conv_norm_out'), h);
  return conv2d(decoder.in('conv_out'), h, config.out_channels);
}

function midBlock(config: AutoencoderKLConfig, p: Params, x: Tensor): Tensor {
  const channels = x.shape[1]!;
  let h = resnet(config, p.in('resnets.0'), x, channels);
  if (config.mid_block_add_attention) h = pixelAttention(config, p.in('attentions.0'), h);
  return resnet(config, p.in('resnets.1'), h, channels);
}

/** Self-attention among pixels with one head, around it a residual connection. [B, C, H, W] → same. */
function pixelAttention(config: AutoencoderKLConfig, p: Params, x: Tensor): Tensor {
  const [, , height, width] = x.shape as [number, number, number, number];
  const sequence = toSequence(groupNorm(p.in('group_norm'), x, config.norm_num_groups, EPSILON));
  const h = attention(p, sequence, sequence, { heads: 1, bias: true });
  return ops.add(toFeatureMap(h, height, width), x);
}

function resnet(config: AutoencoderKLConfig, p: Params, x: Tensor, channels: number): Tensor {
  const options = { groups: config.norm_num_groups, epsilon: EPSILON, activation: config.act_fn };
  return resnetBlock(p, x, undefined, channels, options);
}

function normalizeAndActivate(config: AutoencoderKLConfig, p: Params, x: Tensor): Tensor {
  return activation(config.act_fn, groupNorm(p, x, config.norm_num_groups, EPSILON));
}
