/**
 * The autoencoder of a single-file checkpoint, or a file that holds one alone: names of the original code to those
 * of diffusers (as `convert_ldm_vae_checkpoint`), the configuration from the tensors' shapes.
 */
import { InputError } from '../../errors.ts';
import { withCurrentNames } from '../key-layouts.ts';
import type { Weights } from '../weights.ts';
import { renamed, sizesOf, withoutPrefix } from './names.ts';

export interface StoredAutoencoder {
  readonly className: 'AutoencoderKL' | 'AutoencoderTiny';
  /** As a diffusers config.json. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly weights: Weights;
}

export interface AutoencoderTraining {
  /** In pixels. */
  readonly sampleSize: number;
  /** Files do not say it: 0.18215 for SD 1 and 2, 0.13025 for SDXL. */
  readonly scalingFactor: number;
}

/** From the original names to diffusers'. weights: those of the autoencoder, without their prefix. */
export function autoencoderWeights(weights: Weights): Weights {
  const levels = sizesOf(weights, '').count((i) => `decoder.up.${i}.block.0.conv1.weight`);
  const names = renamed(weights, (name) =>
    name
      .replace(/^(encoder|decoder)\.norm_out\./, '$1.conv_norm_out.')
      .replace(/\.mid\.block_([12])\./, (_, i: string) => `.mid_block.resnets.${Number(i) - 1}.`)
      .replace(/\.mid\.attn_1\.norm\./, '.mid_block.attentions.0.group_norm.')
      .replace(/\.mid\.attn_1\.([qkv])\./, '.mid_block.attentions.0.to_$1.')
      .replace(/\.mid\.attn_1\.proj_out\./, '.mid_block.attentions.0.to_out.0.')
      .replace(/\.down\.(\d+)\.block\./, '.down_blocks.$1.resnets.')
      .replace(/\.down\.(\d+)\.downsample\./, '.down_blocks.$1.downsamplers.0.')
      // The original counts upwards in resolution, diffusers from the latents on.
      .replace(/\.up\.(\d+)\.block\./, (_, i: string) => `.up_blocks.${levels - 1 - Number(i)}.resnets.`)
      .replace(
        /\.up\.(\d+)\.upsample\./,
        (_, i: string) => `.up_blocks.${levels - 1 - Number(i)}.upsamplers.0.`,
      )
      .replace('.nin_shortcut.', '.conv_shortcut.'),
  );
  return withCurrentNames('AutoencoderKL', names);
}

/** A diffusers config. weights: as `autoencoderWeights` gives them; `from` names them in errors. */
export function autoencoderConfig(
  weights: Weights,
  from: string,
  { sampleSize, scalingFactor }: AutoencoderTraining,
): Record<string, unknown> {
  const { size, count } = sizesOf(weights, from);
  const levels = count((i) => `decoder.up_blocks.${i}.resnets.0.conv1.weight`);
  const channels = Array.from({ length: levels }, (_, i) =>
    size(`decoder.up_blocks.${levels - 1 - i}.resnets.0.conv1.weight`, 0),
  );
  return {
    _class_name: 'AutoencoderKL',
    in_channels: size('encoder.conv_in.weight', 1),
    out_channels: size('decoder.conv_out.weight', 0),
    block_out_channels: channels,
    down_block_types: channels.map(() => 'DownEncoderBlock2D'),
    up_block_types: channels.map(() => 'UpDecoderBlock2D'),
    layers_per_block: count((i) => `decoder.up_blocks.0.resnets.${i}.conv1.weight`) - 1,
    latent_channels: size('decoder.conv_in.weight', 1),
    mid_block_add_attention: weights.has('decoder.mid_block.attentions.0.to_q.weight'),
    use_quant_conv: weights.has('quant_conv.weight'),
    use_post_quant_conv: weights.has('post_quant_conv.weight'),
    sample_size: sampleSize,
    scaling_factor: scalingFactor,
  };
}

/**
 * A file that holds an autoencoder and nothing else, in any of the layouts that are about: the original names with
 * or without `first_stage_model.`, diffusers' names, or TAESD. Throws InputError when it holds something else.
 */
export function autoencoderAlone(
  stored: Weights,
  from: string,
  training: AutoencoderTraining,
): StoredAutoencoder {
  const prefix = ['first_stage_model.', 'vae.', ''].find((p) => stored.has(`${p}decoder.conv_in.weight`));
  if (prefix !== undefined) {
    const weights = autoencoderWeights(withoutPrefix(stored, prefix));
    return { className: 'AutoencoderKL', config: autoencoderConfig(weights, from, training), weights };
  }
  // diffusers' layout, and the original one, in which a decoder is alone and the clamping before it counts as a layer.
  const tiny = stored.has('decoder.layers.0.weight')
    ? stored
    : stored.has('1.weight')
      ? renamed(stored, (name) => name.replace(/^\d+/, (layer) => `decoder.layers.${Number(layer) - 1}`))
      : undefined;
  if (tiny !== undefined) {
    const config = {
      _class_name: 'AutoencoderTiny',
      latent_channels: sizesOf(tiny, from).size('decoder.layers.0.weight', 1),
    };
    return { className: 'AutoencoderTiny', config, weights: tiny };
  }
  const [first] = stored.keys();
  throw new InputError(
    `${from} holds no autoencoder: expected an AutoencoderKL in diffusers' or the original layout, or a TAESD decoder; its first tensor is ${first}`,
  );
}
