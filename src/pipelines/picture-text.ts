/**
 * The settings that a picture carries: a `parameters` text as Automatic1111 writes it and many tools read it, and
 * our own JSON, from which the picture can be made again.
 */
import { InputError } from '../errors.ts';
import type { PngText } from '../images/png-text.ts';
import { type SchedulerName, schedulerNames } from './scheduler.ts';
import type { Settings, TextToImageRequest } from './settings.ts';

/** The keyword of our JSON in a PNG file. */
export const SETTINGS_KEYWORD = 'latent-consistency';
/** Automatic1111's. */
export const PARAMETERS_KEYWORD = 'parameters';

/** Everything that decides how a picture looks, but for the weights. */
export interface PictureSettings {
  /** Where the model was, as it was asked for. */
  readonly model: string;
  readonly prompt: string;
  /** Left out where none was asked for. */
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
  /** Of image-to-image and inpainting, with where the picture and the mask were, as they were asked for. */
  readonly strength?: number;
  readonly image?: string;
  readonly mask?: string;
  /** SDXL's original and target size and crop, where they are not those of the picture itself. */
  readonly timeIds?: readonly number[];
  /** Of this package. */
  readonly version: string;
  readonly engine: string;
}

/** Automatic1111's names. */
const samplerNames: Readonly<Record<SchedulerName, string>> = {
  lcm: 'LCM',
  tcd: 'TCD',
  ddim: 'DDIM',
  euler: 'Euler',
  'dpm++': 'DPM++ 2M',
  'dpm++-karras': 'DPM++ 2M Karras',
};

/** The settings of picture `index` of a batch. */
export function pictureSettings(
  settings: Settings,
  index: number,
  made: Pick<PictureSettings, 'model' | 'version' | 'engine' | 'image' | 'mask'>,
): PictureSettings {
  const { steps, guidanceScale, guidanceRescale, scheduler, width, height, clipSkip } = settings;
  const { eta, timesteps, originalSteps, strength, timeIds } = settings;
  const negativePrompt = settings.negativePrompts[index];
  const usual = [height, width, 0, 0, height, width];
  return {
    ...made,
    prompt: settings.prompts[index]!,
    ...(negativePrompt !== undefined && { negativePrompt }),
    seed: settings.seeds[index]!,
    ...{ steps, guidanceScale, guidanceRescale, scheduler, width, height, clipSkip },
    ...(eta !== undefined && { eta }),
    ...(timesteps !== undefined && { timesteps }),
    ...(originalSteps !== undefined && { originalSteps }),
    ...(strength !== undefined && { strength }),
    ...(timeIds.some((value, i) => value !== usual[i]) && { timeIds }),
  };
}

/** For `encodePng`. */
export function pictureText(settings: PictureSettings): PngText {
  const { prompt, negativePrompt } = settings;
  return {
    [PARAMETERS_KEYWORD]: automatic1111Text(prompt, negativePrompt, automatic1111Fields(settings)),
    [SETTINGS_KEYWORD]: JSON.stringify(settings),
  };
}

/** Our settings in the texts of a PNG file; undefined when it has none. Throws InputError for damaged ones. */
export function readPictureSettings(text: PngText): PictureSettings | undefined {
  const json = text[SETTINGS_KEYWORD];
  if (json === undefined) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw new InputError(`the picture's "${SETTINGS_KEYWORD}" text is not valid JSON`, { cause });
  }
  const settings = value as Partial<PictureSettings> | null;
  if (typeof settings?.prompt !== 'string' || typeof settings.seed !== 'number') {
    throw new InputError(`the picture's "${SETTINGS_KEYWORD}" text has no prompt or no seed`);
  }
  for (const [name, isValid] of Object.entries(fields)) {
    const field: unknown = settings[name as keyof PictureSettings];
    if (field === undefined || isValid(field)) continue;
    throw new InputError(
      `the picture's "${SETTINGS_KEYWORD}" text says ${name} ${JSON.stringify(field)}, which is no such value`,
    );
  }
  return settings as PictureSettings;
}

const isText = (value: unknown) => typeof value === 'string';
const isNumber = (value: unknown) => typeof value === 'number';
const areNumbers = (value: unknown) => Array.isArray(value) && value.every(isNumber);

const fields: Readonly<Record<keyof PictureSettings, (value: unknown) => boolean>> = {
  model: isText,
  prompt: isText,
  negativePrompt: isText,
  seed: isNumber,
  steps: isNumber,
  guidanceScale: isNumber,
  guidanceRescale: isNumber,
  scheduler: (value) => schedulerNames.some((name) => name === value),
  width: isNumber,
  height: isNumber,
  clipSkip: isNumber,
  eta: isNumber,
  timesteps: areNumbers,
  originalSteps: isNumber,
  strength: isNumber,
  image: isText,
  mask: isText,
  timeIds: (value) => areNumbers(value) && (value as number[]).length === 6,
  version: isText,
  engine: isText,
};

/** The request that makes the picture again. Its image and mask, if any, are to be opened and put beside `strength`. */
export function pictureRequest(settings: PictureSettings): TextToImageRequest & { strength?: number } {
  const { model: _model, image: _image, mask: _mask, version: _version, engine: _engine, ...rest } = settings;
  const { timeIds, timesteps, ...request } = rest;
  const [originalHeight, originalWidth, top, left, height, width] = timeIds ?? [];
  return {
    ...request,
    ...(timesteps && { timesteps }),
    ...(timeIds && {
      originalSize: [originalHeight!, originalWidth!] as const,
      cropTopLeft: [top!, left!] as const,
      targetSize: [height!, width!] as const,
    }),
  };
}

/** Prompt, negative prompt, and one line `Steps: 4, Sampler: LCM, …`. */
export function automatic1111Text(
  prompt: string,
  negativePrompt: string | undefined,
  fields: readonly string[],
): string {
  const negative = !negativePrompt ? [] : [`Negative prompt: ${negativePrompt}`];
  return [prompt, ...negative, fields.join(', ')].join('\n');
}

/** `Steps: 4`, `Sampler: LCM` and what else Automatic1111 has a name for. */
export function automatic1111Fields(settings: PictureSettings): string[] {
  const { steps, scheduler, guidanceScale, seed, width, height, clipSkip, strength } = settings;
  return [
    `Steps: ${steps}`,
    `Sampler: ${samplerNames[scheduler]}`,
    `CFG scale: ${guidanceScale}`,
    `Seed: ${seed}`,
    `Size: ${width}x${height}`,
    `Model: ${modelName(settings.model)}`,
    ...(strength !== undefined ? [`Denoising strength: ${strength}`] : []),
    ...(clipSkip > 0 ? [`Clip skip: ${clipSkip + 1}`] : []),
    `Version: latent-consistency ${settings.version}`,
  ];
}

/** The last part of a path, without what would end a field of the line. */
function modelName(location: string): string {
  const name = location.split(/[\\/]/).filter(Boolean).at(-1) ?? location;
  return name.replace(/[,:"\n]/g, ' ');
}
