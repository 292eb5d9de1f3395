/**
 * Configurations worth having by name: those of the embedded model, with which training starts, and Stable Diffusion
 * 1.5's, whose sizes benchmarks use. Each with its number of parameters, which a test checks.
 */
import { type AutoencoderKLConfig, autoencoderKLConfig } from './autoencoder-kl.ts';
import { type AutoencoderTinyConfig, autoencoderTinyConfig } from './autoencoder-tiny.ts';
import { type CLIPTextConfig, clipTextConfig } from './clip-text.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from './unet-2d-condition-config.ts';

export interface Preset<Config> {
  readonly config: Config;
  /** Numbers in all weights together. */
  readonly parameters: number;
}

/** Text to pictures of 64×64 pixels in 16×16 latents, small enough to be trained on a CPU. */
export const postcards = {
  vae: preset<AutoencoderKLConfig>(
    autoencoderKLConfig({
      block_out_channels: [16, 32, 64],
      down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D', 'DownEncoderBlock2D'],
      up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D', 'UpDecoderBlock2D'],
      norm_num_groups: 8,
      mid_block_add_attention: false,
      sample_size: 64,
    }),
    648_375,
  ),
  /** The teacher: attention at 8×8 and 4×4, 32 channels to a head. */
  unet: preset<UNet2DConditionConfig>(postcardsUNet(null), 7_446_852),
  /** The student: the same with a guidance embedding. */
  unetLCM: preset<UNet2DConditionConfig>(postcardsUNet(256), 7_463_236),
  textEncoder: preset<CLIPTextConfig>(
    clipTextConfig({
      // What its tokenizer learned from the captions; a training of one's own learns its own.
      vocab_size: 769,
      hidden_size: 128,
      intermediate_size: 512,
      projection_dim: 128,
      num_hidden_layers: 3,
      num_attention_heads: 4,
      max_position_embeddings: 44,
      hidden_act: 'quick_gelu',
      bos_token_id: 0,
      eos_token_id: 1,
      pad_token_id: 1,
    }),
    699_136,
  ),
} as const;

/** Stable Diffusion 1.5 (runwayml/stable-diffusion-v1-5), the LCM distilled from it, and TAESD. */
export const stableDiffusion15 = {
  vae: preset<AutoencoderKLConfig>(
    autoencoderKLConfig({
      block_out_channels: [128, 256, 512, 512],
      down_block_types: new Array(4).fill('DownEncoderBlock2D'),
      up_block_types: new Array(4).fill('UpDecoderBlock2D'),
      layers_per_block: 2,
      sample_size: 512,
    }),
    83_653_863,
  ),
  taesd: preset<AutoencoderTinyConfig>(autoencoderTinyConfig({}), 2_445_063),
  unet: preset<UNet2DConditionConfig>(
    unet2DConditionConfig({ sample_size: 64, cross_attention_dim: 768 }),
    859_520_964,
  ),
  /** SimianLuo/LCM_Dreamshaper_v7. */
  unetLCM: preset<UNet2DConditionConfig>(
    unet2DConditionConfig({ sample_size: 64, cross_attention_dim: 768, time_cond_proj_dim: 256 }),
    859_602_884,
  ),
  textEncoder: preset<CLIPTextConfig>(
    clipTextConfig({
      hidden_size: 768,
      intermediate_size: 3072,
      num_attention_heads: 12,
      projection_dim: 768,
      bos_token_id: 0,
      eos_token_id: 2,
    }),
    123_060_480,
  ),
} as const;

function postcardsUNet(timeCondProjDim: number | null): UNet2DConditionConfig {
  return unet2DConditionConfig({
    sample_size: 16,
    block_out_channels: [64, 96, 160],
    down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D', 'CrossAttnDownBlock2D'],
    up_block_types: ['CrossAttnUpBlock2D', 'CrossAttnUpBlock2D', 'UpBlock2D'],
    layers_per_block: 1,
    attention_head_dim: [2, 3, 5],
    cross_attention_dim: 128,
    norm_num_groups: 16,
    time_cond_proj_dim: timeCondProjDim,
  });
}

function preset<Config>(config: Config, parameters: number): Preset<Config> {
  return { config, parameters };
}
