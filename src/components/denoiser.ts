/** The denoising network of a model, whatever its kind: a configuration with the function that belongs to it. */
import { InputError } from '../errors.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { FurtherContext } from '../layers/attention.ts';
import type { Params } from '../layers/params.ts';
import { type UNetFeatures, unet2DCondition } from '../models/unet-2d-condition.ts';
import { unet2DConditionConfig } from '../models/unet-2d-condition-config.ts';
import { type Size, sizeOf } from './size.ts';

/** A configuration with the function that writes its network. */
export interface Denoiser {
  /** diffusers' class, such as `UNet2DConditionModel`. */
  readonly className: string;
  /** Channels of the latents whose noise it predicts. */
  readonly latentChannels: number;
  /** Channels that it sees behind them: mask and masked picture, in models for inpainting. */
  readonly furtherChannels: number;
  /** Width of the guidance embedding; undefined where it takes none. */
  readonly guidanceWidth: number | undefined;
  /** Latent pixels with which it was trained; undefined where its config does not say. */
  readonly sampleSize: Size | undefined;
  /** Width of the text states. */
  readonly contextWidth: number;
  /** Width of what it is told of the whole prompt, and how many numbers of each size (SDXL); undefined for neither. */
  readonly added: { readonly pooledWidth: number; readonly widthOfSizes: number } | undefined;
  /** Throws UsageError for inputs that do not belong to its config. */
  predict(p: Params, inputs: DenoiserInputs): Tensor;
}

/** What a denoiser sees in one pass. */
export interface DenoiserInputs {
  /** Noised latents and what is seen behind them, [B, latentChannels + furtherChannels, h, w]. */
  readonly sample: Tensor;
  /** Timesteps, [B] float32. */
  readonly time: Tensor;
  /** States of the text, [B, L, contextWidth]. */
  readonly states: Tensor;
  /** Guidance embedding, [B, guidanceWidth]. */
  readonly guidance?: Tensor | undefined;
  /** Pooled prompts, [B, P], and original size, corner of the crop and target size, [B, 6] float32. */
  readonly added?: { readonly textEmbeds: Tensor; readonly timeIds: Tensor } | undefined;
  /** What it attends to beside the text, such as pictures. */
  readonly furtherContexts?: readonly FurtherContext[] | undefined;
  /** What another network, such as a ControlNet, adds to its features. */
  readonly residuals?: UNetFeatures | undefined;
}

/** SDXL's sizes: original height and width, top and left of the crop, target height and width. */
const SIZES = 6;

/** Throws InputError for a class that is not known or a configuration that is not supported. */
export function denoiser(className: string, json: unknown): Denoiser {
  if (className !== 'UNet2DConditionModel') {
    throw new InputError(`the denoising network is a ${className}; supported is UNet2DConditionModel`, {
      code: 'unsupported',
    });
  }
  const config = unet2DConditionConfig(json);
  const sizes = SIZES * (config.addition_time_embed_dim ?? 0);
  return {
    className,
    latentChannels: config.out_channels,
    furtherChannels: config.in_channels - config.out_channels,
    guidanceWidth: config.time_cond_proj_dim ?? undefined,
    sampleSize: sizeOf(config.sample_size),
    contextWidth: config.cross_attention_dim,
    added:
      config.addition_embed_type === 'text_time'
        ? { pooledWidth: config.projection_class_embeddings_input_dim! - sizes, widthOfSizes: sizes }
        : undefined,
    predict: (p, { sample, time, states, guidance, added, furtherContexts, residuals }) =>
      unet2DCondition(config, p, {
        sample,
        timestep: time,
        encoderHiddenStates: states,
        timestepCond: guidance,
        addedCond: added,
        furtherContexts,
        residuals,
      }),
  };
}
