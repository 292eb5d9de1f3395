/** Whether the parts of a stored model fit each other and what is to be trained. */

import type { Components } from '../../components/components.ts';
import { ddpmSchedule, type NoiseScheduleConfig } from '../../diffusion/noise-schedule.ts';
import { readConfig } from '../../diffusion/samplers/config.ts';
import { SettingError, UsageError } from '../../errors.ts';
import type { CLIPTextConfig } from '../../models/clip-text.ts';
import type { UNet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import type { PictureSource } from '../data/picture-source.ts';
import type { PredictionType } from '../objectives/diffusion.ts';
import type { LatentAutoencoder } from './latent-autoencoder.ts';
import type { Watch } from './pictures.ts';

/** What a model predicts, and under which noise. Throws UsageError for predictions of samples. */
export function storedPrediction({ location, scheduler }: Pick<Components, 'location' | 'scheduler'>): {
  readonly predictionType: PredictionType;
  readonly schedule: NoiseScheduleConfig;
} {
  const { config, predictionType } = scheduler;
  if (predictionType === 'sample') {
    throw new UsageError(`${location} predicts samples; trained are models of epsilon and v_prediction`);
  }
  return { predictionType, schedule: readConfig('training', config, { defaults: ddpmSchedule }) };
}

/** Throws UsageError for a UNet of other latents, or one that takes further ones, as those for inpainting do. */
export function requireLatentUNet(
  unet: UNet2DConditionConfig,
  vae: LatentAutoencoder,
  location: string,
): void {
  const [channels] = vae.shape;
  if (unet.in_channels !== channels || unet.out_channels !== channels) {
    throw new UsageError(
      `the UNet of ${location} takes ${unet.in_channels} channels and gives ${unet.out_channels}, the autoencoder has ${channels}; expected a model that draws from captions alone, no inpainting`,
    );
  }
}

/** Throws UsageError where pictures have several sizes, and some do not divide as often as the UNet divides them. */
export function requireSizes(
  unet: UNet2DConditionConfig,
  { config }: LatentAutoencoder,
  { sizes }: PictureSource,
): void {
  const step = config.factor * 2 ** (unet.block_out_channels.length - 1);
  const other = sizes.find(({ width, height }) => width % step !== 0 || height % step !== 0);
  if (sizes.length === 1) return;
  if (unet.addition_embed_type === 'text_time') {
    throw new SettingError(
      'data.buckets',
      'data.buckets',
      'a Stable Diffusion XL is told the size of its pictures, and learns here from squares alone; leave it null',
    );
  }
  if (!other) return;
  throw new SettingError(
    'data.buckets',
    'data.buckets',
    `a size of the pictures is ${other.width}×${other.height}; expected multiples of ${step}, which autoencoder and UNet divide the sides by`,
  );
}

/** Throws UsageError for Stable Diffusion XL, which is distilled, but not trained with its text encoders. */
export function requireOneText(
  { addition_embed_type: added }: UNet2DConditionConfig,
  location: string,
): void {
  if (added !== 'text_time') return;
  throw new UsageError(
    `${location} is a Stable Diffusion XL, whose UNet takes more than captions; trained are models in the manner of Stable Diffusion 1 and 2`,
  );
}

/** Throws UsageError for a tokenizer that gives other numbers of tokens than the text encoder takes. */
export function requireTokens(tokenizer: ClipTokenizer, text: CLIPTextConfig, location: string): void {
  const { max_position_embeddings: positions, vocab_size: size } = text;
  if (tokenizer.maxLength !== positions) {
    throw new UsageError(
      `the tokenizer of ${location} gives ${tokenizer.maxLength} tokens (model_max_length), its text encoder takes ${positions} (max_position_embeddings); correct one of the two`,
    );
  }
  if (tokenizer.vocabularySize > size) {
    throw new UsageError(
      `the tokenizer of ${location} knows ${tokenizer.vocabularySize} tokens, its text encoder ${size} (vocab_size); take the tokenizer that belongs to it`,
    );
  }
}

/** Throws UsageError for a text encoder whose states are not as wide as the UNet takes them. */
export function requireWidth(unet: UNet2DConditionConfig, text: CLIPTextConfig, location: string): void {
  if (unet.cross_attention_dim === text.hidden_size) return;
  throw new UsageError(
    `the text encoder of ${location} gives states of width ${text.hidden_size} (hidden_size), the UNet takes ${unet.cross_attention_dim} (cross_attention_dim); make the two equal`,
  );
}

/** Captions that are looked at where there is no end of them. */
const LOOKED_AT = 1000;

/** Says how many captions are longer than the tokenizer takes: what is beyond is not trained on. */
export function warnOfLongCaptions(
  tokenizer: ClipTokenizer,
  source: PictureSource,
  { onProgress }: Watch,
): void {
  const count = Number.isFinite(source.size) ? source.size : LOOKED_AT;
  const cut = Array.from({ length: count }, (_, i) => tokenizer.tokenize(source.caption(i)).truncated);
  const long = cut.filter((rest) => rest !== undefined).length;
  if (long === 0) return;
  onProgress?.({
    type: 'warning',
    message: `${long} of ${count} captions are longer than the ${tokenizer.maxLength - 2} tokens that are read; what is beyond them is not trained on`,
  });
}
