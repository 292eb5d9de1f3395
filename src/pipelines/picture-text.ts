/**
 * The settings that a picture carries: a `parameters` text as Automatic1111 writes it and many tools read it, and
 * our own JSON, from which the picture can be made again.
 */

import type { SchedulerName } from '../components/scheduler.ts';
import { type PredictionType, predictionTypes } from '../diffusion/prediction.ts';
import { type Precision, precisions } from '../engines/precision.ts';
import { InputError } from '../errors.ts';
import { parseJsonObject } from '../files/json.ts';
import { type Quantization, quantizations } from '../graph/quantize.ts';
import { PARAMETERS_KEYWORD } from '../images/embedded-text.ts';
import type { PngText } from '../images/png-text.ts';
import { shown } from '../messages.ts';
import { escapePrompt } from '../text/prompt-syntax.ts';
import { loraTitle } from '../weights/lora-title.ts';
import {
  type CarriedName,
  carriedNames,
  isValue,
  type NamedSetting,
  requestSettings,
} from './request-settings.ts';
import type { Settings, TextToImageRequest } from './settings.ts';

/** The keyword of our JSON in a PNG file. */
export const SETTINGS_KEYWORD = 'latent-consistency';
/** A file that took part in a picture. */
export interface PictureFile {
  /** Where it was, as it was asked for. */
  readonly path: string;
  /** Of its content, in hexadecimal digits. */
  readonly sha256: string;
}

/** A UNet that took part, which has gigabytes. */
export interface PictureUNet {
  /** Where it was, as it was asked for. */
  readonly path: string;
  /** Of its weights, in hexadecimal digits: see `weightsFingerprint`. */
  readonly fingerprint: string;
}

/** A LoRA that took part in a picture. */
export interface PictureLora extends PictureFile {
  readonly strength: number;
  /** SHA-256 of what follows the safetensors header, by which Automatic1111 and Civitai know LoRAs. */
  readonly dataSha256: string;
}

/** What a picture was drawn with, beside its request. */
export interface Surroundings {
  /** Where the model was, as it was asked for. */
  readonly model: string;
  /** Of its weights, in hexadecimal digits: see `modelFingerprint`. */
  readonly modelFingerprint?: string;
  /** In place of the model's own. */
  readonly unet?: PictureUNet;
  readonly vae?: PictureFile;
  readonly loras?: readonly PictureLora[];
  /** For single-file checkpoints, as they were asked for. */
  readonly tokenizer?: string;
  readonly config?: string;
  readonly predictionType?: PredictionType;
  /** Of image-to-image and inpainting: where the picture and the mask were, as they were asked for. */
  readonly image?: string;
  readonly mask?: string;
  /** How large weights were held, where that was not in float32. */
  readonly quantize?: Quantization;
  /** Of this package. */
  readonly version: string;
  readonly engine: string;
  /** In what the engine computed, where that was not float32. */
  readonly precision?: Precision;
}

/** The model's part of it, whatever the request. */
export type DrawnWith = Omit<
  Surroundings,
  'image' | 'mask' | 'quantize' | 'version' | 'engine' | 'precision'
>;

/** Everything that decides how a picture looks, but for the weights themselves. */
export interface PictureSettings extends Surroundings {
  readonly prompt: string;
  /** It is left out where none was asked for. */
  readonly negativePrompt?: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly scheduler: SchedulerName;
  readonly width: number;
  readonly height: number;
  readonly clipSkip: number;
  readonly eta?: number;
  readonly timesteps?: readonly number[];
  readonly originalSteps?: number;
  /** Of image-to-image and inpainting. */
  readonly strength?: number;
  /** In which pixels of tiles it was decoded, where that was not done in one piece. */
  readonly tileSize?: number;
  /** SDXL's original and target size and crop, where they are not those of the picture itself. */
  readonly timeIds?: readonly number[];
}

/** Automatic1111's names. */
export const automatic1111Samplers: Readonly<Record<SchedulerName, string>> = {
  lcm: 'LCM',
  tcd: 'TCD',
  ddim: 'DDIM',
  pndm: 'PLMS',
  euler: 'Euler',
  'euler-a': 'Euler a',
  heun: 'Heun',
  dpm2: 'DPM2',
  'dpm++': 'DPM++ 2M',
  'dpm++-karras': 'DPM++ 2M Karras',
  'dpm++-sde': 'DPM++ 2M SDE',
  'dpm++-sde-karras': 'DPM++ 2M SDE Karras',
  'dpm++-2s': 'DPM++ 2S',
  'dpm++-2s-sde': 'DPM++ SDE',
  unipc: 'UniPC',
  deis: 'DEIS',
};

/** The settings of picture `index` of a batch. */
export function pictureSettings(settings: Settings, index: number, made: Surroundings): PictureSettings {
  const ofPicture = {
    ...settings,
    prompt: settings.prompts[index]!,
    negativePrompt: settings.negativePrompts[index],
    seed: settings.seeds[index]!,
  };
  const { height, width, timeIds } = settings;
  const usual = [height, width, 0, 0, height, width];
  return {
    ...made,
    ...carried(ofPicture),
    ...(timeIds.some((value, i) => value !== usual[i]) && { timeIds }),
  };
}

/** Of these values those that pictures carry, in their order, without what is undefined. */
function carried<Values extends Partial<Record<CarriedName, unknown>>>(
  values: Values,
): Pick<Values, CarriedName & keyof Values> {
  const names = carriedNames.filter((name) => values[name] !== undefined);
  return Object.fromEntries(names.map((name) => [name, values[name]])) as Pick<
    Values,
    CarriedName & keyof Values
  >;
}

/** For `encodePng`. */
export function pictureText(settings: PictureSettings): PngText {
  const { prompt, negativePrompt, loras = [] } = settings;
  const networks = loras.map(({ path, strength }) => `<lora:${loraName(path)}:${strength}>`);
  const fields = automatic1111Fields(settings);
  return {
    [PARAMETERS_KEYWORD]: automatic1111Text(prompt, negativePrompt, fields, networks),
    [SETTINGS_KEYWORD]: JSON.stringify(settings),
  };
}

/** Our settings in the texts of a PNG file; undefined when it has none. Throws InputError for damaged ones. */
export function readPictureSettings(text: PngText): PictureSettings | undefined {
  const json = text[SETTINGS_KEYWORD];
  if (json === undefined) return undefined;
  const settings: Partial<PictureSettings> = parseJsonObject(
    json,
    `the picture's "${SETTINGS_KEYWORD}" text`,
  );
  if (typeof settings.prompt !== 'string' || typeof settings.seed !== 'number') {
    throw new InputError(`the picture's "${SETTINGS_KEYWORD}" text has no prompt or no seed`);
  }
  for (const [name, field] of Object.entries(settings)) {
    if (field === undefined || isValid(name, field)) continue;
    throw new InputError(
      `the picture's "${SETTINGS_KEYWORD}" text says ${name} ${shown(field)}, which is no such value`,
    );
  }
  return settings as PictureSettings;
}

/** Names that are not known here are not looked at. */
function isValid(name: string, value: unknown): boolean {
  const request = carriedNames.find((known) => known === name);
  if (request !== undefined) return isValue(request, value);
  return !Object.hasOwn(further, name) || further[name as keyof typeof further](value);
}

const isText = (value: unknown) => typeof value === 'string';
const isNumber = (value: unknown) => typeof value === 'number';
const areNumbers = (value: unknown) => Array.isArray(value) && value.every(isNumber);

const isFile = (value: unknown) => {
  const { path, sha256 } = Object(value) as Partial<PictureFile>;
  return isText(path) && isText(sha256);
};
const isUNet = (value: unknown) => {
  const { path, fingerprint } = Object(value) as Partial<PictureUNet>;
  return isText(path) && isText(fingerprint);
};
const areLoras = (value: unknown) =>
  Array.isArray(value) &&
  value.every((lora: Partial<PictureLora> | null) => {
    return isFile(lora) && isNumber(lora?.strength) && isText(lora?.dataSha256);
  });

/** What pictures carry beside their request. */
const further: Readonly<Record<Exclude<keyof PictureSettings, CarriedName>, (value: unknown) => boolean>> = {
  model: isText,
  modelFingerprint: isText,
  unet: isUNet,
  vae: isFile,
  loras: areLoras,
  tokenizer: isText,
  config: isText,
  predictionType: (value) => predictionTypes.some((type) => type === value),
  image: isText,
  mask: isText,
  timeIds: (value) => areNumbers(value) && (value as number[]).length === 6,
  quantize: (value) => quantizations.some((kind) => kind === value),
  version: isText,
  engine: isText,
  precision: (value) => precisions.some((precision) => precision === value),
};

/**
 * The request that makes the picture again, with a pipeline like the one that it was drawn with. Its image and mask, if
 * any, are to be opened and put beside `strength`.
 */
export function pictureRequest(settings: PictureSettings): TextToImageRequest & { strength?: number } {
  const [originalHeight, originalWidth, top, left, targetHeight, targetWidth] = settings.timeIds ?? [];
  return {
    ...carried(settings),
    ...(settings.timeIds && {
      originalSize: [originalHeight!, originalWidth!] as const,
      cropTopLeft: [top!, left!] as const,
      targetSize: [targetHeight!, targetWidth!] as const,
    }),
  };
}

/**
 * Prompt, negative prompt, and one line `Steps: 4, Sampler: LCM, …`. Prompts are written so that Automatic1111 reads them
 * as the words that they are here. networks: `<lora:style:0.8>`, which it is to apply.
 */
export function automatic1111Text(
  prompt: string,
  negativePrompt: string | undefined,
  fields: readonly string[],
  networks: readonly string[] = [],
): string {
  const { inAutomatic1111 } = requestSettings.negativePrompt;
  const negative = !negativePrompt ? [] : [`${inAutomatic1111}: ${escapePrompt(negativePrompt)}`];
  const positive = [escapePrompt(prompt), ...networks].join(' ');
  return [positive, ...negative, fields.join(', ')].join('\n');
}

/** `Steps: 4`, `Sampler: LCM` and what else Automatic1111 has a name for, in its order and with its lengths of hashes. */
export function automatic1111Fields(settings: PictureSettings): string[] {
  const { steps, scheduler, guidanceScale, seed, width, height } = settings;
  const { clipSkip, strength, unet, vae, loras = [] } = settings;
  const hashes = loras.map(({ path, dataSha256 }) => `${loraName(path)}: ${dataSha256.slice(0, 12)}`);
  const field = (name: NamedSetting, value: string | number) =>
    `${requestSettings[name].inAutomatic1111}: ${value}`;
  return [
    field('steps', steps),
    field('scheduler', automatic1111Samplers[scheduler]),
    field('guidanceScale', guidanceScale),
    field('seed', seed),
    field('width', `${width}x${height}`),
    `Model: ${modelName(settings.model)}`,
    ...(unet ? [`UNet: ${modelName(unet.path)}`] : []),
    ...(vae ? [`VAE hash: ${vae.sha256.slice(0, 10)}`, `VAE: ${modelName(vae.path)}`] : []),
    ...(strength !== undefined ? [field('strength', strength)] : []),
    // Clip skip is counted from the last layer there, which is 1.
    ...(clipSkip > 0 ? [field('clipSkip', clipSkip + 1)] : []),
    ...(hashes.length > 0 ? [`Lora hashes: "${hashes.join(', ')}"`] : []),
    `Version: latent-consistency ${settings.version}`,
  ];
}

/** The last part of a path. */
function modelName(location: string): string {
  return plain(location.split(/[\\/]/).filter(Boolean).at(-1) ?? location);
}

function loraName(path: string): string {
  return plain(loraTitle(path));
}

/** Without what would end a field of the line, or a LoRA in the prompt. */
function plain(name: string): string {
  return name.replace(/[,:"<>\n]/g, ' ');
}
