/**
 * A small, fast stand-in for Stable Diffusion's autoencoder: diffusers' `AutoencoderTiny` (TAESD, Ollin Boer
 * Bohan). It works on latents as the diffusion model sees them, so nothing is to be scaled.
 */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import { type ActivationName, activation, activationNames } from '../layers/activations.ts';
import { conv2d } from '../layers/linear.ts';
import type { Params } from '../layers/params.ts';
import { configFields } from './config.ts';
import { LAYERS, SCALES, SHIFTS, WIDTHS } from './limits.ts';

/** diffusers' field names; written back as JSON it is again a config that diffusers reads. */
export interface AutoencoderTinyConfig {
  readonly in_channels: number;
  readonly out_channels: number;
  readonly encoder_block_out_channels: readonly number[];
  readonly decoder_block_out_channels: readonly number[];
  readonly act_fn: ActivationName;
  readonly latent_channels: number;
  readonly num_encoder_blocks: readonly number[];
  readonly num_decoder_blocks: readonly number[];
  readonly latent_magnitude: number;
  readonly latent_shift: number;
  readonly scaling_factor: number;
  readonly shift_factor: number | null;
}

/** Checks a config.json. Throws InputError naming the field that is wrong or not supported. */
export function autoencoderTinyConfig(json: unknown): AutoencoderTinyConfig {
  const fields = configFields('AutoencoderTiny', json);
  const config: AutoencoderTinyConfig = {
    in_channels: fields.integer('in_channels', 3, WIDTHS),
    out_channels: fields.integer('out_channels', 3, WIDTHS),
    encoder_block_out_channels: fields.integers('encoder_block_out_channels', [64, 64, 64, 64], WIDTHS),
    decoder_block_out_channels: fields.integers('decoder_block_out_channels', [64, 64, 64, 64], WIDTHS),
    act_fn: fields.choice('act_fn', activationNames, 'relu'),
    latent_channels: fields.integer('latent_channels', 4, WIDTHS),
    num_encoder_blocks: fields.integers('num_encoder_blocks', [1, 3, 3, 3], LAYERS),
    num_decoder_blocks: fields.integers('num_decoder_blocks', [3, 3, 3, 1], LAYERS),
    latent_magnitude: fields.number('latent_magnitude', 3, SCALES),
    latent_shift: fields.number('latent_shift', 0.5, SHIFTS),
    scaling_factor: fields.number('scaling_factor', 1, SCALES),
    shift_factor: fields.optionalNumber('shift_factor', SHIFTS),
  };
  fields.only('upsample_fn', 'nearest');
  // The encoder halves the size at each level.
  fields.only('upsampling_scaling_factor', 2);
  // diffusers repeats the decoder's widths under this name, for code that asks how far it downsamples.
  fields.ignore('block_out_channels', 'force_upcast');
  fields.finish();
  const levels = config.decoder_block_out_channels.length;
  if (config.encoder_block_out_channels.length !== levels) {
    fields.fail('encoder_block_out_channels', `${levels} entries, as many as decoder_block_out_channels has`);
  }
  for (const side of ['encoder', 'decoder'] as const) {
    if (config[`num_${side}_blocks`].length !== levels) {
      fields.fail(`num_${side}_blocks`, `${levels} entries, one for each of ${side}_block_out_channels`);
    }
    fields.blocks(
      `num_${side}_blocks`,
      config[`num_${side}_blocks`].reduce((sum, count) => sum + count, 0),
    );
  }
  return config;
}

/** pixels: [B, in_channels, H, W] in [−1, 1] → latents [B, latent_channels, ⌈H/f⌉, ⌈W/f⌉], f = 2^(levels − 1). */
export function encode(config: AutoencoderTinyConfig, p: Params, pixels: Tensor): Tensor {
  const layer = layers(p.in('encoder.layers'));
  let h = ops.multiply(ops.add(pixels, 1), 0.5);
  config.num_encoder_blocks.forEach((blocks, level) => {
    const channels = config.encoder_block_out_channels[level]!;
    h = level === 0 ? conv2d(layer(), h, channels) : conv2d(layer(), h, channels, { stride: 2, bias: false });
    for (let i = 0; i < blocks; i++) h = tinyBlock(config, layer(), h);
  });
  return conv2d(layer(), h, config.latent_channels);
}

/** latents: [B, latent_channels, h, w] → pixels [B, out_channels, f·h, f·w], about in [−1, 1] and not clamped. */
export function decode(config: AutoencoderTinyConfig, p: Params, latents: Tensor): Tensor {
  const layer = layers(p.in('decoder.layers'));
  const last = config.num_decoder_blocks.length - 1;
  let h = ops.multiply(ops.tanh(ops.multiply(latents, 1 / 3)), 3);
  h = activation(config.act_fn, conv2d(layer(), h, config.decoder_block_out_channels[0]!));
  layer(); // The activation counts as a layer.
  config.num_decoder_blocks.forEach((blocks, level) => {
    const channels = config.decoder_block_out_channels[level]!;
    for (let i = 0; i < blocks; i++) h = tinyBlock(config, layer(), h);
    if (level < last) {
      const [, , height, width] = h.shape as [number, number, number, number];
      h = ops.resizeNearest(h, [2 * height, 2 * width]);
      layer(); // So does the resizing.
      h = conv2d(layer(), h, channels, { bias: false });
    }
  });
  h = conv2d(layer(), h, config.out_channels);
  return ops.subtract(ops.multiply(h, 2), 1);
}

/** Three convolutions and a skip connection; always ends in a ReLU. x: [B, C, H, W] → same. */
function tinyBlock(config: AutoencoderTinyConfig, p: Params, x: Tensor): Tensor {
  const channels = x.shape[1]!;
  let h = activation(config.act_fn, conv2d(p.in('conv.0'), x, channels));
  h = activation(config.act_fn, conv2d(p.in('conv.2'), h, channels));
  return ops.relu(ops.add(conv2d(p.in('conv.4'), h, channels), x));
}

/** The layers of a PyTorch `Sequential`, which are numbered in their order. */
function layers(p: Params): () => Params {
  let next = 0;
  return () => p.in(next++);
}
