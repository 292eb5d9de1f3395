/** The options of every command that draws: the model, what it is asked for, and the engine. */
import { type Command, Option } from 'commander';
import { EMBEDDED_MODEL, EMBEDDED_MODEL_NAME } from '../components/node/embedded-models.ts';
import { type SchedulerName, schedulerNames } from '../components/scheduler.ts';
import { UsageError } from '../errors.ts';
import { pictureFormats } from '../images/formats/picture-header.ts';
import type { Image } from '../images/image.ts';
import { hasTransparency, type MaskReading, readMask } from '../images/mask.ts';
import { openImage } from '../images/node/open-image.ts';
import type { GenerationRequest } from '../pipelines/settings.ts';
import { withAliases } from './aliases.ts';
import { type EngineOptions, withEngineOptions } from './engine-options.ts';
import { type LoraOption, loraOption } from './lora-option.ts';
import {
  type CheckpointOptions,
  type PartOptions,
  withCheckpointOptions,
  withPartOptions,
} from './model-options.ts';
import { integer, number, oneOf } from './option-values.ts';
import type { Reporter } from './progress.ts';

/** The model with other parts and LoRAs. */
export interface ModelOptions extends PartOptions, CheckpointOptions {
  readonly model: string;
  readonly lora?: readonly LoraOption[];
}

export interface GenerationOptions extends ModelOptions, EngineOptions {
  readonly steps?: number;
  readonly guidanceScale?: number;
  readonly negativePrompt?: string;
  readonly seed?: number;
  readonly width?: number;
  readonly height?: number;
  readonly scheduler?: SchedulerName;
  readonly eta?: number;
  readonly image?: string;
  readonly strength?: number;
  readonly mask?: string;
  readonly from?: string;
  readonly tileSize?: number;
  readonly lowMemory?: boolean;
}

/** Readers of the values, each for an option of any name. */
export const generationValues = {
  steps: (option: string) => integer(option, { min: 1 }),
  guidanceScale: (option: string) => number(option, { min: 0 }),
  // As in Automatic1111, stable-diffusion.cpp and others.
  seed: (option: string) => (text: string) => (text === '-1' ? randomSeed() : integer(option)(text)),
  side: (option: string) => integer(option, { min: 1 }),
  scheduler: (option: string) => oneOf(option, schedulerNames),
  eta: (option: string) => number(option, { min: 0, max: 1 }),
  strength: (option: string) => number(option, { min: 0, max: 1 }),
};

/** Adds the options to a command, which is returned. */
export function withGenerationOptions(command: Command): Command {
  const values = generationValues;
  command.addOption(
    new Option(
      '-m, --model <name>',
      'a diffusers directory, a .safetensors checkpoint, or a pulled owner/name',
    ).default(EMBEDDED_MODEL, 'the one that comes with the package, of little landscapes'),
  );
  withPartOptions(command).option(
    '--lora <path[:strength]>',
    'a LoRA: a file, a folder or a pulled owner/name; may be given several times. An LCM-LoRA, one whose metadata or name say lcm, makes the scheduler lcm',
    loraOption,
  );
  withCheckpointOptions(command)
    .option('--steps <n>', 'denoising steps', values.steps('--steps'))
    .option(
      '--guidance-scale <g>',
      'how closely to follow the prompt; 1 is none. Also --cfg-scale, --cfg',
      values.guidanceScale('--guidance-scale'),
    )
    .option(
      '-n, --negative-prompt <text>',
      'what the picture should not show, for models without built-in guidance',
    )
    .option('-s, --seed <s>', 'the same seed gives the same picture; -1 draws one', values.seed('--seed'))
    .option('-W, --width <pixels>', 'width', values.side('--width'))
    .option('-H, --height <pixels>', 'height', values.side('--height'))
    .option('--scheduler <name>', schedulerNames.join(', '), values.scheduler('--scheduler'))
    .option('--eta <e>', 'share of fresh noise in a step, for ddim and tcd', values.eta('--eta'))
    .option('--image <file>', `a picture to begin with: ${pictureFormats.join(', ')}`)
    .option('--strength <x>', 'how far to go from it, above 0 up to 1', values.strength('--strength'))
    .option('--mask <png>', 'as large as that picture: white is drawn anew, black is kept')
    .option(
      '--from <picture>',
      'restore all settings from a picture made here, or what means the same here of those of Automatic1111, Forge and ComfyUI; what else is given overrides them',
    )
    .option(
      '--tile-size <pixels>',
      'decode in tiles that fade into each other; done without being asked where a picture would not fit into memory',
      integer('--tile-size', { min: 1 }),
    )
    .option('--low-memory', 'keep one network at a time in memory: the same pictures, more loading');
  withAliases(command, '--guidance-scale', ['--cfg-scale', '--cfg']);
  return withEngineOptions(command);
}

/** The prompt as an option, for hands that are used to it. */
export function withPromptOption(command: Command): Command {
  return command.option('-p, --prompt <text>', 'the prompt, as an option');
}

/** Of the argument and the option. Undefined when there is neither; throws UsageError for both. */
export function promptOf(
  argument: string | undefined,
  { prompt }: { readonly prompt?: string },
): string | undefined {
  if (argument !== undefined && prompt !== undefined) {
    throw new UsageError(
      `two prompts, "${argument}" and --prompt "${prompt}": put the prompt into quotes and give it once`,
    );
  }
  return argument ?? prompt;
}

/** How a mask with transparency was read. */
const MASK_NOTES: Readonly<Record<MaskReading, string>> = {
  brightness: 'what is white in it is drawn anew; black and transparent parts are kept',
  hole: 'it is a picture with a hole: what is transparent in it is drawn anew',
  strokes: 'it has strokes on transparency: what is painted in it is drawn anew, whatever its colour',
};

/** The pictures that `--image` and `--mask` name. It is said how a mask was read that could be read in several ways. */
export async function openPictures(
  { image, mask }: GenerationOptions,
  reporter: Reporter,
): Promise<{ readonly image: Image | undefined; readonly mask: Image | undefined }> {
  const open = async (path: string | undefined) => (path === undefined ? undefined : openImage(path));
  const [picture, maskPicture] = await Promise.all([open(image), open(mask)]);
  if (maskPicture && hasTransparency(maskPicture)) {
    reporter.note(`--mask ${mask}: ${MASK_NOTES[readMask(maskPicture).reading]}`);
  }
  return { image: picture, mask: maskPicture };
}

/** What the options ask of a model: one picture for each seed. */
export function requestOf(
  prompt: string,
  options: GenerationOptions,
  seed: readonly number[],
): GenerationRequest {
  const { negativePrompt, steps, guidanceScale, width, height, scheduler, eta, strength } = options;
  const { tileSize } = options;
  return {
    prompt,
    negativePrompt,
    steps,
    guidanceScale,
    width,
    height,
    scheduler,
    eta,
    strength,
    tileSize,
    seed,
    numImages: seed.length,
  };
}

/** A seed for a request that names none. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}

/** How pictures name the model: pictures get around, and carry no path of this machine that nobody typed. */
export function shownModel({ model }: ModelOptions): string {
  return model === EMBEDDED_MODEL ? EMBEDDED_MODEL_NAME : model;
}
