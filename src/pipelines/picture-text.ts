/**
 * The settings that a picture carries: a `parameters` text as Automatic1111 writes it and many tools read it, and
 * our own JSON, from which the picture can be made again.
 */
import { InputError } from '../errors.ts';
import type { PngText } from '../images/png-text.ts';
import type { SchedulerName } from './scheduler.ts';
import type { Settings } from './settings.ts';

/** The keyword of our JSON in a PNG file. */
export const SETTINGS_KEYWORD = 'latent-consistency';
/** Automatic1111's. */
export const PARAMETERS_KEYWORD = 'parameters';

/** Everything that decides how a picture looks, but for the weights. */
export interface PictureSettings {
  /** Where the model was, as it was asked for. */
  readonly model: string;
  readonly prompt: string;
  readonly negativePrompt: string;
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
  made: Pick<PictureSettings, 'model' | 'version' | 'engine'>,
): PictureSettings {
  const { steps, guidanceScale, guidanceRescale, scheduler, width, height, clipSkip } = settings;
  const { eta, timesteps, originalSteps } = settings;
  return {
    ...made,
    prompt: settings.prompts[index]!,
    negativePrompt: settings.negativePrompts[index]!,
    seed: settings.seeds[index]!,
    ...{ steps, guidanceScale, guidanceRescale, scheduler, width, height, clipSkip },
    ...(eta !== undefined && { eta }),
    ...(timesteps !== undefined && { timesteps }),
    ...(originalSteps !== undefined && { originalSteps }),
  };
}

/** For `encodePng`. */
export function pictureText(settings: PictureSettings): PngText {
  return {
    [PARAMETERS_KEYWORD]: automatic1111Text(settings),
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
  return settings as PictureSettings;
}

/** Prompt, negative prompt, and one line `Steps: 4, Sampler: LCM, …`. */
function automatic1111Text(settings: PictureSettings): string {
  const { prompt, negativePrompt, steps, scheduler, guidanceScale, seed, width, height, clipSkip } = settings;
  const fields = [
    `Steps: ${steps}`,
    `Sampler: ${samplerNames[scheduler]}`,
    `CFG scale: ${guidanceScale}`,
    `Seed: ${seed}`,
    `Size: ${width}x${height}`,
    `Model: ${modelName(settings.model)}`,
    ...(clipSkip > 0 ? [`Clip skip: ${clipSkip + 1}`] : []),
    `Version: latent-consistency ${settings.version}`,
  ];
  const negative = negativePrompt === '' ? [] : [`Negative prompt: ${negativePrompt}`];
  return [prompt, ...negative, fields.join(', ')].join('\n');
}

/** The last part of a path, without what would end a field of the line. */
function modelName(location: string): string {
  const name = location.split(/[\\/]/).filter(Boolean).at(-1) ?? location;
  return name.replace(/[,:"\n]/g, ' ');
}
