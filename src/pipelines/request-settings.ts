/**
 * What a request for pictures may say, told once: what each setting is, between which values, what it is where nobody
 * gives it, and its names in messages, pictures and Automatic1111's texts. What only a model can tell, such as the
 * multiples that a side must be of, `settingsOf` adds.
 */
import { schedulerNames } from '../components/scheduler.ts';
import { type Message, SettingError, UsageError } from '../errors.ts';
import { brief, shown } from '../messages.ts';
import { nearest } from '../nearest.ts';
import { hasTexts, isOfKind, kindInWords, type SettingKind, valueFromText } from './setting-kinds.ts';
import type { GenerationRequest } from './settings.ts';

/** What a request may say. */
export type SettingName = keyof GenerationRequest;

/** What a setting of a request may be. */
export interface RequestSetting {
  readonly kind: SettingKind;
  /** Whether it may also be a list, of one for each picture or prompt. */
  readonly list?: true;
  /** In messages: `guidance scale`. */
  readonly words: string;
  /** For people who look for it: what it does. */
  readonly description: string;
  /** What it is where the request says nothing, and who says so. */
  readonly otherwise: string;
  /** Whether the JSON that a picture carries has it as the request does, under its own name. */
  readonly inPicture?: true;
  /** In the last line of Automatic1111's text. */
  readonly inAutomatic1111?: string;
}

/** The largest side of a picture, in pixels. */
export const LARGEST_SIDE = 16384;

/** Pictures of one request: they are drawn together, and are in memory together. */
export const MOST_PICTURES = 10_000;

/** Of a prompt, of which a model reads some 75 words. */
const LONGEST_PROMPT = 100_000;

/** Of all prompts of a request, so that they are read within a second. */
const MOST_CHARACTERS = 1_000_000;

/** Steps, and training timesteps: models have 1,000. */
const MOST_STEPS = 10_000;

const side = { type: 'integer', least: 1, most: LARGEST_SIDE } as const;
const pair = (...parts: [string, string]) =>
  ({ type: 'integers', parts, least: 0, most: LARGEST_SIDE }) as const;

/** In the order in which they are shown, and stand in pictures. */
export const requestSettings = {
  prompt: {
    kind: { type: 'text', longest: LONGEST_PROMPT },
    list: true,
    words: 'prompt',
    description: 'what the picture should show',
    otherwise: 'has to be given',
    inPicture: true,
  },
  negativePrompt: {
    kind: { type: 'text', longest: LONGEST_PROMPT },
    list: true,
    words: 'negative prompt',
    description: 'what the picture should not show, for models without built-in guidance',
    otherwise: 'none',
    inPicture: true,
    inAutomatic1111: 'Negative prompt',
  },
  seed: {
    kind: { type: 'integer' },
    list: true,
    words: 'seed',
    description: 'the same seed gives the same picture; picture i has the seed s + i',
    otherwise: 'drawn',
    inPicture: true,
    inAutomatic1111: 'Seed',
  },
  generator: {
    kind: { type: 'generator' },
    list: true,
    words: 'generator',
    description: 'in place of seeds',
    otherwise: 'made of the seeds',
  },
  numImages: {
    kind: { type: 'integer', least: 1, most: MOST_PICTURES },
    words: 'number of images',
    description: 'pictures for each prompt',
    otherwise: '1',
  },
  steps: {
    kind: { type: 'integer', least: 1, most: MOST_STEPS },
    words: 'steps',
    description: 'denoising steps',
    otherwise: "the model's; else 4 for consistency models, 50 for others",
    inPicture: true,
    inAutomatic1111: 'Steps',
  },
  guidanceScale: {
    kind: { type: 'number', least: 0, most: 1000 },
    words: 'guidance scale',
    description: 'how closely to follow the prompt; 1 is none',
    otherwise: "the model's; else diffusers' for the kind of model",
    inPicture: true,
    inAutomatic1111: 'CFG scale',
  },
  guidanceRescale: {
    kind: { type: 'number', least: 0, most: 1 },
    words: 'guidance rescale',
    description: 'against over-exposure at high guidance',
    otherwise: '0',
    inPicture: true,
  },
  scheduler: {
    kind: { type: 'choice', values: schedulerNames },
    words: 'scheduler',
    description: 'what makes latents of predictions',
    otherwise: "the model's",
    inPicture: true,
    inAutomatic1111: 'Sampler',
  },
  width: {
    kind: side,
    words: 'width',
    description: 'of the pictures, in pixels',
    otherwise: "the image's, else the model's",
    inPicture: true,
    inAutomatic1111: 'Size',
  },
  height: {
    kind: side,
    words: 'height',
    description: 'of the pictures, in pixels',
    otherwise: "the image's, else the model's",
    inPicture: true,
    inAutomatic1111: 'Size',
  },
  clipSkip: {
    kind: { type: 'integer', least: 0, most: 128 },
    words: 'clip skip',
    description: 'layers of the text encoder to leave out at its end',
    otherwise: '0',
    inPicture: true,
    inAutomatic1111: 'Clip skip',
  },
  eta: {
    kind: { type: 'number', least: 0, most: 1 },
    words: 'eta',
    description: 'share of fresh noise in a step, for ddim and tcd',
    otherwise: "the scheduler's own: 0 for ddim, 0.3 for tcd",
    inPicture: true,
  },
  timesteps: {
    kind: { type: 'integers', least: 0, most: MOST_STEPS },
    words: 'timesteps',
    description: 'training timesteps, descending, in place of a number of steps; for lcm and tcd',
    otherwise: 'spread evenly',
    inPicture: true,
  },
  originalSteps: {
    kind: { type: 'integer', least: 1, most: MOST_STEPS },
    words: 'original steps',
    description: 'the grid that the model was distilled on; for lcm and tcd',
    otherwise: "the model's",
    inPicture: true,
  },
  image: {
    kind: { type: 'image' },
    words: 'image',
    description: 'a picture to begin with',
    otherwise: 'noise',
  },
  strength: {
    kind: { type: 'number', above: 0, most: 1 },
    words: 'strength',
    description: 'how far to go from the image',
    otherwise: '0.8, and 1 with a mask; for SDXL 0.3 and 0.9999',
    inPicture: true,
    inAutomatic1111: 'Denoising strength',
  },
  mask: {
    kind: { type: 'image' },
    words: 'mask',
    description: 'as large as the image: white, or a hole, is drawn anew',
    otherwise: 'all is drawn anew',
  },
  tileSize: {
    kind: side,
    words: 'tile size',
    description: 'decode in tiles of so many pixels, which fade into each other',
    otherwise: 'in one piece, where it fits into memory',
    inPicture: true,
  },
  originalSize: {
    kind: pair('height', 'width'),
    words: 'original size',
    description: 'what SDXL is told of the size of the picture',
    otherwise: "the picture's",
  },
  cropTopLeft: {
    kind: pair('top', 'left'),
    words: 'crop top left',
    description: 'what SDXL is told of how the picture was cropped',
    otherwise: '0 and 0',
  },
  targetSize: {
    kind: pair('height', 'width'),
    words: 'target size',
    description: 'what SDXL is told of the size that was aimed for',
    otherwise: "the picture's",
  },
  signal: {
    kind: { type: 'signal' },
    words: 'signal',
    description: 'an AbortSignal that ends the drawing',
    otherwise: 'none',
  },
  onWarning: {
    kind: { type: 'function' },
    words: 'onWarning',
    description: 'is told what is done otherwise than asked for',
    otherwise: 'none',
  },
} as const satisfies Readonly<Record<SettingName, RequestSetting>>;

export const settingNames = Object.keys(requestSettings) as SettingName[];

/** The settings that Automatic1111's text has a name for. */
export type NamedSetting = {
  [Name in SettingName]: (typeof requestSettings)[Name] extends { readonly inAutomatic1111: string }
    ? Name
    : never;
}[SettingName];

/** The settings that pictures carry under their own names. */
export type CarriedName = {
  [Name in SettingName]: (typeof requestSettings)[Name] extends { readonly inPicture: true } ? Name : never;
}[SettingName];

export const carriedNames = settingNames.filter(
  (name): name is CarriedName => 'inPicture' in requestSettings[name],
);

/**
 * Whatever a caller gave as a request, when it is one. Throws UsageError for a setting that does not exist, and
 * SettingError for one that is not what it has to be. What is undefined is not given.
 */
export function checkRequest(given: unknown): asserts given is GenerationRequest {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    throw new UsageError(`the request is ${shown(given)}; expected an object such as { prompt: "a fox" }`);
  }
  for (const [name, value] of Object.entries(given)) if (value !== undefined) requireSetting(name);
  const request = given as Partial<GenerationRequest>;
  // By their names: an object may have them from its prototype.
  for (const name of settingNames) if (request[name] !== undefined) checkSetting(name, request[name]);
  if (request.prompt === undefined) throw settingError('prompt', undefined, expected(requestSettings.prompt));
  const prompts = [request.prompt].flat();
  if (prompts.length === 0) throw new UsageError('the list of prompts is empty: expected at least one');
  const pictures = prompts.length * (request.numImages ?? 1);
  if (pictures > MOST_PICTURES) {
    throw new UsageError(
      `${pictures} pictures in one request, which are in memory together: at most ${MOST_PICTURES}; make several requests`,
    );
  }
  const characters = [...prompts, ...[request.negativePrompt ?? []].flat()].reduce(
    (sum, text) => sum + text.length,
    0,
  );
  if (characters > MOST_CHARACTERS) {
    throw new UsageError(
      `the prompts of the request have ${characters} characters; expected at most ${MOST_CHARACTERS}`,
    );
  }
}

function requireSetting(name: string): asserts name is SettingName {
  if (Object.hasOwn(requestSettings, name)) return;
  const near = nearest(name, settingNames);
  throw new UsageError(
    `a request has no setting ${shown(name)}; ${near ? `did you mean ${near}?` : `it has ${settingNames.join(', ')}`}`,
  );
}

/** Throws SettingError when the value cannot be the setting's. */
export function checkSetting(name: SettingName, value: unknown): void {
  const setting: RequestSetting = requestSettings[name];
  const values = setting.list && Array.isArray(value) ? value : [value];
  // By index: what a list has no entry for is undefined, too.
  for (let i = 0; i < values.length; i++) {
    if (!isOfKind(setting.kind, values[i])) {
      throw settingError(name, values[i], `${expected(setting)}${suggestion(setting.kind, values[i])}`);
    }
  }
}

/**
 * What texts say of a request, by the names of settings: the query of an address, a form. A name that is there more than
 * once is a list, where the setting may be one. Throws UsageError for a setting that does not exist, SettingError for a
 * text that does not stand for what the setting can be.
 */
export function readRequest(
  texts: Iterable<readonly [name: string, text: string]>,
): Partial<GenerationRequest> {
  const found = new Map<SettingName, unknown[]>();
  for (const [name, text] of texts) {
    requireSetting(name);
    found.set(name, [...(found.get(name) ?? []), readSetting(name, text)]);
  }
  const request = [...found].map(([name, values]) => {
    const { words, list }: RequestSetting = requestSettings[name];
    if (values.length > 1 && !list) throw new SettingError(name, words, `is given ${values.length} times`);
    return [name, values.length > 1 ? values : values[0]];
  });
  return Object.fromEntries(request);
}

/**
 * The value that a text stands for, as a command line, a form or an address has it: lists with commas between their
 * parts. Throws SettingError for what cannot be the setting's, and for a setting that no text can stand for.
 */
export function readSetting<Name extends SettingName>(name: Name, text: string): GenerationRequest[Name] {
  const { kind, words }: RequestSetting = requestSettings[name];
  const value = hasTexts(kind) ? valueFromText(kind, text) : undefined;
  if (isOfKind(kind, value)) return value as GenerationRequest[Name];
  const found = text.trim() === '' ? JSON.stringify(text) : brief(text);
  throw new SettingError(name, words, `${found}: expected ${kindInWords(kind)}${suggestion(kind, text)}`);
}

function suggestion(kind: SettingKind, value: unknown): string {
  const near = kind.type === 'choice' && typeof value === 'string' ? nearest(value, kind.values) : undefined;
  return near === undefined ? '' : `; did you mean ${near}?`;
}

/** about: what was expected, and what to do. */
export function settingError(name: SettingName, value: unknown, about: Message): SettingError {
  return new SettingError(name, requestSettings[name].words, [`${shown(value)}: `, ...[about].flat()]);
}

/** Whether one value, not a list of such, can be the setting's. */
export function isValue(name: SettingName, value: unknown): boolean {
  return isOfKind(requestSettings[name].kind, value);
}

/** What a setting has to be, in words: `expected a whole number from 1 to 10000`. */
function expected({ kind, list }: RequestSetting): string {
  return `expected ${kindInWords(kind)}${list ? `, or a list of such` : ''}`;
}
