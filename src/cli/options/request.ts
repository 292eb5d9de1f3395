/** The options that the table of request settings makes: each setting that a text can stand for is a flag. */
import { type Command, Option } from 'commander';
import { SettingError, UsageError } from '../../errors.ts';
import {
  type RequestSetting,
  readSetting,
  requestSettings,
  type SettingName,
} from '../../pipelines/request-settings.ts';
import type { GenerationRequest } from '../../pipelines/settings.ts';
import { withAliases } from './aliases.ts';
import { flagOf } from './flag-names.ts';

interface Flag {
  /** What stands for the value in the help. */
  readonly value: string;
  /** Of stable-diffusion.cpp. */
  readonly letter?: string;
  /** Names that other tools have for it. */
  readonly aliases?: readonly string[];
  /** What only the command line has to say. */
  readonly remark?: string;
}

/** What the command line adds to the table. Prompts, pictures and their number are arguments and options of their own. */
const flags = {
  negativePrompt: { value: 'text', letter: 'n' },
  seed: { value: 's', letter: 's', remark: '-1 draws one' },
  steps: { value: 'n' },
  guidanceScale: { value: 'g', aliases: ['--cfg-scale', '--cfg'], remark: 'also --cfg-scale, --cfg' },
  guidanceRescale: { value: 'phi' },
  scheduler: { value: 'name' },
  width: { value: 'pixels', letter: 'W' },
  height: { value: 'pixels', letter: 'H' },
  clipSkip: { value: 'layers' },
  eta: { value: 'e' },
  timesteps: { value: 'list' },
  originalSteps: { value: 'n' },
  strength: { value: 'x' },
  tileSize: { value: 'pixels' },
  originalSize: { value: 'height,width' },
  cropTopLeft: { value: 'top,left' },
  targetSize: { value: 'height,width' },
} as const satisfies Partial<Record<SettingName, Flag>>;

export type FlagSetting = keyof typeof flags;

export const flagSettings = Object.keys(flags) as FlagSetting[];

/** One value of a setting: lists of one for each picture have no place on a command line. */
type Single<Name extends FlagSetting> = Name extends 'seed'
  ? number
  : Name extends 'negativePrompt'
    ? string
    : GenerationRequest[Name];

export type RequestOptions = { readonly [Name in FlagSetting]?: Single<Name> };

/** Adds the options to a command, which is returned. */
export function withRequestOptions(command: Command): Command {
  for (const name of flagSettings) {
    const { value, letter, aliases = [], remark }: Flag = flags[name];
    const { kind, description, otherwise }: RequestSetting = requestSettings[name];
    const choices = kind.type === 'choice' ? [kind.values.join(', ')] : [];
    const about = [description, ...choices, ...(remark === undefined ? [] : [remark])].join('; ');
    const long = `${flagOf(name)} <${value}>`;
    command.addOption(
      new Option(
        letter === undefined ? long : `-${letter}, ${long}`,
        `${about} (default: ${otherwise})`,
      ).argParser(settingReader(name, flagOf(name))),
    );
    withAliases(command, flagOf(name), aliases);
  }
  return command;
}

/** A reader of the values of a setting. option: what errors name, `--steps` or the axis of a plot. */
export function settingReader<Name extends FlagSetting>(
  name: Name,
  option: string,
): (text: string) => Single<Name> {
  return (text) => {
    // As in Automatic1111, stable-diffusion.cpp and others.
    if (name === 'seed' && text === '-1') return randomSeed() as Single<Name>;
    try {
      return readSetting(name, text) as Single<Name>;
    } catch (error) {
      if (!(error instanceof SettingError)) throw error;
      throw new UsageError(`${option} ${error.about}`, { cause: error });
    }
  };
}

/** What the options ask of a model: one picture for each seed. */
export function requestOf(
  prompt: string,
  options: RequestOptions,
  seed: readonly number[],
): GenerationRequest {
  const given = flagSettings.map((name) => [name, options[name]]).filter(([, value]) => value !== undefined);
  return { ...Object.fromEntries(given), prompt, seed, numImages: seed.length };
}

/** A seed for a request that names none. */
export function randomSeed(): number {
  return crypto.getRandomValues(new Uint32Array(1))[0]!;
}
