/**
 * A single-file checkpoint: a whole Stable Diffusion model in one safetensors file, under the names of the code it
 * was trained with. It is recognised by its keys, as by diffusers' `from_single_file`, and taken apart into the
 * networks of a diffusers directory. Nothing is copied: every weight stays a range of the file.
 */
import type { PredictionType } from '../../diffusion/prediction.ts';
import { InputError, located, SettingError } from '../../errors.ts';
import { formatShape } from '../../graph/shape.ts';
import type { Weights } from '../weights.ts';
import { autoencoderConfig, autoencoderWeights } from './autoencoder.ts';
import { sizesOf, withoutPrefix } from './names.ts';
import { type Family, families, familyOfWidth, schedulerDefaults } from './published.ts';
import { type TextEncoderKind, textEncoderConfig, textEncoderWeights } from './text-encoder.ts';
import { unetConfig, unetWeights } from './unet.ts';
import { isUNetAlone } from './unet-alone.ts';

/** What the weights' names and shapes leave open. */
export interface CheckpointHints {
  /**
   * What the UNet predicts. By default what the file says (`modelspec.prediction_type`, or a tensor `v_pred`), else as
   * in diffusers: velocity for SD 2 unless its `global_step` is that of the base model or it is for inpainting; noise
   * for all others.
   */
  readonly predictionType?: PredictionType | undefined;
  /** For a file without text encoders whose UNet attends to prompts of a width that no published model has. */
  readonly family?: Family | undefined;
  /** The training step of the tensor `global_step`, where the file has one. */
  readonly globalStep?: number | undefined;
  /** The file's free-form texts. */
  readonly metadata?: Readonly<Record<string, string>> | undefined;
}

/** One network. The configuration is worked out when asked for: a folder may hold a better one. */
export interface CheckpointNetwork {
  readonly className: string;
  readonly weights: Weights;
  /** As config.json. Throws InputError when shapes do not tell it. */
  config(): Record<string, unknown>;
}

/** What the UNet predicts, and how that is known. */
export interface CheckpointPrediction {
  readonly type: PredictionType;
  readonly source: 'file' | 'request' | 'family';
}

/** What the tensors of a single-file checkpoint say about it. */
export interface Checkpoint {
  readonly family: Family;
  readonly prediction: CheckpointPrediction;
  /** diffusers' class, e.g. `StableDiffusionXLPipeline`. */
  readonly pipelineClass: string;
  /** By diffusers' folder names: `unet`, `vae`, `text_encoder`, `text_encoder_2`; what the file lacks is left out. */
  readonly networks: ReadonlyMap<string, CheckpointNetwork>;
  readonly scheduler: { readonly className: string; readonly config: Readonly<Record<string, unknown>> };
  /** Of each text encoder, in order: OpenCLIP's tokenizer pads with "!", CLIP's with the end of text. */
  readonly textEncoders: readonly TextEncoderKind[];
}

const UNET = 'model.diffusion_model.';
const FIRST_CONVOLUTION = `${UNET}input_blocks.0.0.weight`;

/** Where the text encoders of each family lie. */
const TEXT_ENCODERS: Readonly<Record<Family, readonly { prefix: string; kind: TextEncoderKind }[]>> = {
  'stable-diffusion-1': [{ prefix: 'cond_stage_model.transformer.', kind: 'clip' }],
  'stable-diffusion-2': [{ prefix: 'cond_stage_model.model.', kind: 'open-clip' }],
  'stable-diffusion-xl': [
    { prefix: 'conditioner.embedders.0.transformer.', kind: 'clip' },
    { prefix: 'conditioner.embedders.1.model.', kind: 'open-clip' },
  ],
};

/** Whether these are the tensors of a checkpoint, supported or not. */
export function isCheckpoint(stored: Weights): boolean {
  return stored.has(FIRST_CONVOLUTION);
}

/**
 * Takes a checkpoint apart. stored: all tensors of the file; `file` names it in errors. Throws InputError for files
 * that are something else, saying what they seem to be and what to do with them; UsageError when it is said to predict
 * something else than the file says.
 */
export function readCheckpoint(stored: Weights, file: string, hints: CheckpointHints = {}): Checkpoint {
  const family = recognise(stored, file, hints.family);
  const { pixels, scalingFactor } = families[family];
  const channels = located(file, () => sizesOf(stored, file).size(FIRST_CONVOLUTION, 1));
  const prediction = predictionOf(family, channels, stored, file, hints);
  // SD 2 at 512 pixels predicts noise, at 768 velocity; their shapes are the same.
  const side = family === 'stable-diffusion-2' && prediction.type !== 'v_prediction' ? 512 : pixels;
  const networks = new Map<string, CheckpointNetwork>();

  const text = TEXT_ENCODERS[family].map(({ prefix, kind }, i) => {
    const from = `${file}: its text encoder ${i + 1}`;
    const weights = located(file, () => textEncoderWeights(kind, withoutPrefix(stored, prefix), from));
    return { kind, from, weights };
  });
  text.forEach(({ kind, from, weights }, i) => {
    if (weights.size === 0) return;
    const projects = i > 0;
    networks.set(i === 0 ? 'text_encoder' : `text_encoder_${i + 1}`, {
      className: projects ? 'CLIPTextModelWithProjection' : 'CLIPTextModel',
      weights,
      config: () =>
        located(file, () =>
          textEncoderConfig(weights, from, { kind, unusedLayers: kind === 'open-clip' && !projects ? 1 : 0 }),
        ),
    });
  });

  const original = withoutPrefix(stored, UNET);
  const from = `${file}: its UNet`;
  networks.set('unet', {
    className: 'UNet2DConditionModel',
    weights: unetWeights(original),
    config: () =>
      located(file, () =>
        unetConfig(original, from, {
          sampleSize: side / 8,
          pooledWidth: text[1]?.weights.get('text_projection.weight')?.shape[1],
        }),
      ),
  });

  const prefix = ['first_stage_model.', 'vae.'].find((p) => stored.has(`${p}decoder.conv_in.weight`));
  if (prefix !== undefined) {
    const weights = autoencoderWeights(withoutPrefix(stored, prefix));
    networks.set('vae', {
      className: 'AutoencoderKL',
      weights,
      config: () =>
        located(file, () =>
          autoencoderConfig(weights, `${file}: its VAE`, { sampleSize: side, scalingFactor }),
        ),
    });
  }

  const guided = networks.get('unet')!.weights.has('time_embedding.cond_proj.weight');
  const zeroTerminalSnr = stored.has('ztsnr');
  return {
    family,
    prediction,
    pipelineClass: pipelineClassOf(family, channels, guided, file),
    networks,
    scheduler: schedulerDefaults(family, { guided, prediction: prediction.type, zeroTerminalSnr }),
    textEncoders: text.map(({ kind }) => kind),
  };
}

function recognise(stored: Weights, file: string, hint: Family | undefined): Family {
  const starts = (prefix: string) => [...stored.keys()].some((name) => name.startsWith(prefix));
  const refuse = (what: string): never => {
    throw new InputError(`${file} ${what}`, { path: file });
  };
  if (!isCheckpoint(stored)) {
    if (
      starts('lora_') ||
      [...stored.keys()].some((name) => /\.lora(_A|_B|\.down|\.up|_down|_up)\b/.test(name))
    ) {
      refuse('holds a LoRA, no model; pass it with --lora, beside the model that it was made for');
    }
    if (isUNetAlone(stored)) {
      refuse('holds a UNet alone; pass it with --unet, beside a model of its kind');
    }
    if (stored.has('decoder.conv_in.weight') || starts('first_stage_model.') || starts('decoder.layers.')) {
      refuse('holds an autoencoder, no whole model; pass it with --vae, beside a model');
    }
    if (stored.has('control_model.time_embed.0.weight')) refuse('holds a ControlNet, which is not supported');
    const [first] = stored.keys();
    refuse(
      `is not a checkpoint of Stable Diffusion 1, 2 or XL, which has a tensor ${FIRST_CONVOLUTION}${first === undefined ? '; it is empty' : `; its first one is ${first}`}`,
    );
  }
  if (starts('conditioner.embedders.1.')) {
    if (stored.has('edm_mean'))
      refuse('is a Playground 2.5 model, whose latents are scaled in a way that is not supported');
    return 'stable-diffusion-xl';
  }
  if (starts('conditioner.embedders.0.model.'))
    refuse("is SDXL's refiner, which is not supported; use the base model");
  if (starts('cond_stage_model.model.')) return 'stable-diffusion-2';
  if (starts('cond_stage_model.transformer.')) return 'stable-diffusion-1';
  // Without text encoders, the width of the states that the UNet attends to tells the family.
  const query = 'transformer_blocks.0.attn2.to_k.weight';
  const [, weight] = [...stored].find(([name]) => name.startsWith(UNET) && name.endsWith(query)) ?? [];
  const shape = weight?.shape;
  return (
    familyOfWidth(shape?.[1]) ??
    hint ??
    refuse(
      `has no text encoder and attends to prompts in a way that is not known (${query} is ${shape ? formatShape(shape) : 'absent'}); name a diffusers directory of such a model with --config`,
    )
  );
}

function predictionOf(
  family: Family,
  channels: number,
  stored: Weights,
  file: string,
  { predictionType, globalStep, metadata = {} }: CheckpointHints,
): CheckpointPrediction {
  const stated = statedPrediction(stored, metadata);
  if (predictionType !== undefined && stated !== undefined && predictionType !== stated) {
    throw new SettingError(
      'predictionType',
      'prediction type',
      `${predictionType}: ${file} says that it predicts ${stated}; leave the prediction type out, or name a diffusers directory as its config, which overrules the file`,
    );
  }
  if (stated !== undefined) return { type: stated, source: 'file' };
  if (predictionType !== undefined) return { type: predictionType, source: 'request' };
  const velocity =
    family === 'stable-diffusion-2' && channels !== INPAINTING_CHANNELS && globalStep !== SD2_BASE_STEPS;
  return { type: velocity ? 'v_prediction' : 'epsilon', source: 'family' };
}

/** Stability AI's metadata, or a mark that some SDXL models carry. */
function statedPrediction(
  stored: Weights,
  metadata: Readonly<Record<string, string>>,
): PredictionType | undefined {
  const stated = metadata['modelspec.prediction_type'];
  if (stated === 'v') return 'v_prediction';
  if (stated === 'epsilon') return 'epsilon';
  return stored.has('v_pred') ? 'v_prediction' : undefined;
}

/** Four of the latents, one of the mask, four of what is kept. */
const INPAINTING_CHANNELS = 9;
/** How long stabilityai/stable-diffusion-2-base, which predicts noise, was trained. */
const SD2_BASE_STEPS = 875_000;

function pipelineClassOf(family: Family, channels: number, guided: boolean, file: string): string {
  const name = family === 'stable-diffusion-xl' ? 'StableDiffusionXL' : 'StableDiffusion';
  if (channels === INPAINTING_CHANNELS) return `${name}InpaintPipeline`;
  if (channels !== 4) {
    throw new InputError(
      `${file}: its UNet takes ${channels} channels; supported are 4, and 9 for inpainting`,
      { path: file, code: 'unsupported' },
    );
  }
  return guided && name === 'StableDiffusion' ? 'LatentConsistencyModelPipeline' : `${name}Pipeline`;
}
