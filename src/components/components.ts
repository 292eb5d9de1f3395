/** The parts of a model: configurations that were checked, a tokenizer, and where the weights lie. */

import { InputError, located, SettingError } from '../errors.ts';
import { parseJson } from '../files/json.ts';
import { type CLIPTextConfig, clipTextConfig } from '../models/clip-text.ts';
import { configFields } from '../models/config.ts';
import { type ClipTokenizer, requireFitting } from '../text/clip-tokenizer.ts';
import { loadClipTokenizer } from '../text/tokenizer-files.ts';
import {
  parseTrainingCaptions,
  TRAINING_CAPTIONS,
  type TrainingCaptions,
} from '../text/training-captions.ts';
import type { Weights } from '../weights/weights.ts';
import { type Autoencoder, autoencoder } from './autoencoder.ts';
import { type Denoiser, denoiser } from './denoiser.ts';
import type { ModelFiles, StoredAutoencoder } from './model-files.ts';
import { type Scheduler, type SchedulerName, scheduler } from './scheduler.ts';
import type { Size } from './size.ts';

/** A network: what describes it (its config, mostly) and its weights. */
export interface Component<Description> {
  /** For messages: `models/postcards/unet`. */
  readonly location: string;
  readonly config: Description;
  readonly weights: Weights;
}

/** What a request that says nothing else gets. */
export interface GenerationDefaults {
  readonly steps?: number;
  readonly guidanceScale?: number;
  /** In place of the model's own. */
  readonly scheduler?: SchedulerName;
}

/** A text encoder and the tokenizer that goes with it. */
export interface TextPart {
  readonly tokenizer: ClipTokenizer;
  readonly textEncoder: Component<CLIPTextConfig>;
  /** What the encoder has read, where its model tells; see `TrainingCaptions`. */
  readonly captions: TrainingCaptions | undefined;
}

/** All parts of a model, their configurations checked; the weights are not read yet. */
export interface Components extends TextPart {
  /** For messages: `models/postcards`. */
  readonly location: string;
  /** diffusers' class, e.g. `LatentConsistencyModelPipeline`. */
  readonly pipelineClass: string;
  /** SDXL's second text encoder, which also pools the prompt; undefined for the other models. */
  readonly second: TextPart | undefined;
  readonly unet: Component<Denoiser>;
  readonly vae: Component<Autoencoder>;
  readonly scheduler: Scheduler;
  /** SDXL: where there is no negative prompt, zeros stand in its place, not the encoded empty text. */
  readonly zerosForEmptyPrompt: boolean;
  /** From `generation_defaults.json`, which a model may have: what it was made for. */
  readonly defaults: GenerationDefaults;
}

/** Pipelines whose parts and whose order of draws are known here. */
export const supportedClasses: readonly string[] = [
  'LatentConsistencyModelPipeline',
  'LatentConsistencyModelImg2ImgPipeline',
  'StableDiffusionPipeline',
  'StableDiffusionImg2ImgPipeline',
  'StableDiffusionInpaintPipeline',
  'StableDiffusionXLPipeline',
  'StableDiffusionXLImg2ImgPipeline',
  'StableDiffusionXLInpaintPipeline',
];

/** Pixels of the pictures that a model was made for; undefined where it does not say. */
export function pictureSize({ unet, vae }: Pick<Components, 'unet' | 'vae'>): Size | undefined {
  const latent = unet.config.sampleSize;
  const { factor, sampleSize } = vae.config;
  return latent ? { height: latent.height * factor, width: latent.width * factor } : sampleSize;
}

/**
 * Reads all configurations. Throws InputError, naming the file, when one is missing or not supported; UsageError when
 * the model is said to predict something else than its scheduler_config.json says.
 */
export async function loadComponents(files: ModelFiles): Promise<Components> {
  if (!supportedClasses.includes(files.pipelineClass)) {
    throw new InputError(
      `${files.location} is a ${files.pipelineClass}; supported are ${supportedClasses.join(', ')}`,
      { path: files.location, code: 'unsupported' },
    );
  }
  if (files.options?.requires_aesthetics_score === true) {
    throw new InputError(
      `${files.location} is SDXL's refiner (requires_aesthetics_score is true), which is not supported; use the base model`,
      { path: files.location, code: 'unsupported' },
    );
  }
  const isXL = files.pipelineClass.startsWith('StableDiffusionXL');
  const [first, second, unet, vae, schedulerJson, defaults] = await Promise.all([
    loadTextPart(files),
    isXL ? textPart(files, 'tokenizer_2', 'text_encoder_2') : undefined,
    component(files, 'unet', (json) => denoiser(files.classes.get('unet') ?? '', json)),
    component(files, 'vae', (json) => autoencoder(files.classes.get('vae') ?? '', json)),
    readJson(files, 'scheduler/scheduler_config.json'),
    generationDefaults(files),
  ]);
  requireSameText(unet, first, second);
  const { latentChannels, furtherChannels } = unet.config;
  if (latentChannels !== vae.config.latentChannels) {
    throw new InputError(
      `${unet.location}: out_channels is ${latentChannels}, but the VAE's latents have ` +
        `${vae.config.latentChannels} channels; the two do not belong together`,
      { path: unet.location, code: 'mismatch' },
    );
  }
  if (furtherChannels !== 0 && furtherChannels !== latentChannels + 1) {
    throw new InputError(
      `${unet.location}: in_channels is ${latentChannels + furtherChannels}; expected ${latentChannels}, ` +
        `or for inpainting ${2 * latentChannels + 1}`,
      { path: unet.location },
    );
  }
  return {
    location: files.location,
    pipelineClass: files.pipelineClass,
    ...first,
    second,
    unet,
    vae,
    scheduler: located(`${files.location}/scheduler`, () =>
      scheduler(files.classes.get('scheduler') ?? '', withPredictionType(schedulerJson, files)),
    ),
    zerosForEmptyPrompt: files.options?.force_zeros_for_empty_prompt !== false,
    defaults,
  };
}

/** The first, and mostly the only, text encoder with its tokenizer. Throws InputError when there is none, or not here supported. */
export function loadTextPart(files: ModelFiles): Promise<TextPart> {
  return textPart(files, 'tokenizer', 'text_encoder');
}

async function textPart(files: ModelFiles, tokenizerName: string, encoderName: string): Promise<TextPart> {
  const captionsPath = `${tokenizerName}/${TRAINING_CAPTIONS}`;
  const [tokenizer, textEncoder, captions] = await Promise.all([
    loadClipTokenizer((file) => files.text(`${tokenizerName}/${file}`), `${files.location}/${tokenizerName}`),
    component(files, encoderName, clipTextConfig),
    files.text(captionsPath),
  ]);
  requireFitting(tokenizer, textEncoder.config.vocab_size, files.location);
  return {
    tokenizer,
    textEncoder,
    captions:
      captions === undefined
        ? undefined
        : parseTrainingCaptions(captions, `${files.location}/${captionsPath}`),
  };
}

/** Throws InputError when the UNet was made for other texts than the encoders give. */
function requireSameText(
  { location, config: { contextWidth, added } }: Component<Denoiser>,
  first: TextPart,
  second: TextPart | undefined,
): void {
  const width = first.textEncoder.config.hidden_size + (second?.textEncoder.config.hidden_size ?? 0);
  if (contextWidth !== width) {
    const encoders = second ? "text encoders' hidden_size together is" : "text encoder's hidden_size is";
    throw new InputError(
      `${location}: cross_attention_dim is ${contextWidth}, but the ${encoders} ${width}; ` +
        `the ${second ? 'three' : 'two'} do not belong together`,
      { path: location, code: 'mismatch' },
    );
  }
  if ((added !== undefined) !== (second !== undefined)) {
    throw new InputError(
      `${location}: addition_embed_type is ${added ? '' : 'not '}"text_time"; expected "text_time" ` +
        'for a Stable Diffusion XL pipeline, and null or "text" for any other',
      { path: location },
    );
  }
  if (added === undefined || second === undefined) return;
  const { pooledWidth, widthOfSizes } = added;
  if (pooledWidth !== second.textEncoder.config.projection_dim) {
    throw new InputError(
      `${location}: projection_class_embeddings_input_dim is ${pooledWidth + widthOfSizes}; expected ${widthOfSizes} for six sizes and ` +
        `${second.textEncoder.config.projection_dim}, the projection_dim of ${second.textEncoder.location}. ` +
        'Refiners, which take five sizes, are not supported',
      { path: location, code: 'unsupported' },
    );
  }
}

async function component<Description>(
  files: ModelFiles,
  name: string,
  describe: (json: unknown) => Description,
): Promise<Component<Description>> {
  const { location, config, weights } = await files.network(name);
  return { location, config: located(location, () => describe(config)), weights };
}

/** A scheduler's configuration with what it leaves open. */
function withPredictionType(json: unknown, { predictionType, location }: ModelFiles): unknown {
  if (predictionType === undefined || typeof json !== 'object' || json === null) return json;
  const stated = 'prediction_type' in json ? (json.prediction_type ?? predictionType) : predictionType;
  if (stated === predictionType) return { ...json, prediction_type: predictionType };
  throw new SettingError(
    'predictionType',
    'prediction type',
    `${predictionType}: the scheduler_config.json of ${location} says ${stated}; leave the prediction type out`,
  );
}

/** Another autoencoder for the model's latents. Throws InputError when it is for other ones. */
export function previewAutoencoder(
  { vae }: Components,
  { location, className, config, weights }: StoredAutoencoder,
): Component<Autoencoder> {
  const other = located(location, () => autoencoder(className, config));
  const { latentChannels, factor } = vae.config;
  if (other.latentChannels !== latentChannels || other.factor !== factor) {
    throw new InputError(
      `${location} is for latents of ${other.latentChannels} channels and ${other.factor} pixels; the model's have ` +
        `${latentChannels} channels and ${factor} pixels`,
      { path: location, code: 'mismatch' },
    );
  }
  return { location, config: other, weights };
}

async function generationDefaults(files: ModelFiles): Promise<GenerationDefaults> {
  const name = 'generation_defaults.json';
  const json = await readJson(files, name, {});
  const fields = configFields(`${files.location}/${name}`, json);
  const steps = fields.optionalInteger('steps', { least: 1, most: 10_000 });
  const guidanceScale = fields.optionalNumber('guidance_scale', { least: 0, most: 1000 });
  fields.finish();
  return { ...(steps !== null && { steps }), ...(guidanceScale !== null && { guidanceScale }) };
}

/** A missing file is an error unless there is a fallback. */
async function readJson(files: ModelFiles, path: string, fallback?: unknown): Promise<unknown> {
  const text = await files.text(path);
  if (text === undefined) {
    if (fallback !== undefined) return fallback;
    throw new InputError(`${files.location} has no ${path}; a diffusers directory needs it`, {
      path: files.location,
    });
  }
  return parseJson(text, `${files.location}/${path}`);
}
