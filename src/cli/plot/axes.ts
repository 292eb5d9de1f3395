/** The axes of a plot: what may vary from picture to picture, and how a value changes what is asked for. */
import { basename } from 'node:path';
import { UsageError } from '../../errors.ts';
import { nearest } from '../../nearest.ts';
import { type RequestSetting, requestSettings } from '../../pipelines/request-settings.ts';
import { flagOf } from '../options/flag-names.ts';
import type { GenerationOptions } from '../options/generation.ts';
import { type LoraOption, loraOption } from '../options/lora.ts';
import { type FlagSetting, flagSettings, settingReader } from '../options/request.ts';
import { number } from '../options/values.ts';
import { rangeOf, splitList } from './value-list.ts';

/** What one picture is made of: the prompt and the flags of the command, changed by the values of its axes. */
export interface Recipe {
  readonly prompt: string;
  readonly options: GenerationOptions;
  /** From an axis of LoRAs, beside those of the options; `none` is a value of such an axis, too. */
  readonly lora?: LoraOption | 'none';
}

export interface AxisValue {
  /** As it was typed, without quotes. */
  readonly text: string;
  /** For the legend. */
  readonly label: string;
  /** Throws UsageError when the value does not go with the recipe. */
  apply(recipe: Recipe): Recipe;
}

export interface Axis {
  /** Of the option: `--x steps`. */
  readonly flag: string;
  readonly name: string;
  readonly values: readonly AxisValue[];
}

interface AxisKind {
  /** For the help. */
  readonly description: string;
  /** Whether nothing is a value: of `--x prompt=""` a shell leaves `prompt=`. */
  readonly mayBeEmpty?: boolean;
  /** option: `--x steps`; text: what follows `=`. Throws UsageError for what the axis does not take. */
  values(option: string, text: string): AxisValue[];
}

/** Values to try, for the help; without one the table's words do. */
const examples: Partial<Record<FlagSetting, string>> = {
  steps: '1,2,4,8',
  guidanceScale: '1,4,8',
  seed: '1-4',
  strength: '0.2-1 [5], with --image',
  eta: '0,0.5,1, with ddim or tcd',
  scheduler: 'names, as of --scheduler',
  negativePrompt: 'whole negative prompts; "" is none',
  timesteps: 'lists in quotes: "999,499","999"',
};

/** One axis for each setting that is a flag. */
const settingAxes = Object.fromEntries(
  flagSettings.map((name) => [flagOf(name).slice('--'.length), settingAxis(name)]),
);

/** In the order in which they are applied: what is searched and replaced in a prompt comes after the prompts. */
const kinds: Readonly<Record<string, AxisKind>> = {
  ...settingAxes,
  size: {
    description: 'width×height: 512x512,768x512',
    values: texts((option, text) => {
      const [, width, height] = /^(\d+)[x×](\d+)$/.exec(text) ?? [];
      if (width === undefined || height === undefined) {
        throw new UsageError(`${option}=${text}: expected width and height in pixels, as 768x512`);
      }
      return {
        label: `${width}x${height}`,
        ...setting({
          width: settingReader('width', option)(width),
          height: settingReader('height', option)(height),
        }),
      };
    }),
  },
  model: {
    description: 'as of --model; each is loaded once',
    values: texts((option, text) => ({
      label: nameOf(required(option, text, 'a model, as --model takes it')),
      ...setting({ model: text }),
    })),
  },
  unet: part('unet', 'a UNet'),
  vae: part('vae', 'an autoencoder'),
  lora: {
    description: 'path[:strength] or none, beside those of --lora',
    values: texts((option, text) => {
      if (required(option, text, 'a LoRA, or none') === 'none') {
        return { label: 'lora: none', apply: (recipe) => ({ ...recipe, lora: 'none' }) };
      }
      const lora = loraOption(text)[0]!;
      const strength = lora.strength === 1 ? '' : `, ${lora.strength}`;
      return {
        label: `lora: ${nameOf(lora.path)}${strength}`,
        apply: (recipe) => ({ ...recipe, lora }),
      };
    }),
  },
  'lora-weight': {
    description: 'strengths of the LoRA: 0-1 [5]',
    values: (option, text) =>
      numberList(option, text, number(option), false).map((strength) => ({
        text: String(strength),
        label: `lora weight: ${strength}`,
        apply(recipe) {
          if (recipe.lora === 'none') return recipe;
          if (recipe.lora) return { ...recipe, lora: { ...recipe.lora, strength } };
          const [lora, ...others] = recipe.options.lora ?? [];
          if (lora && others.length === 0) return setting({ lora: [{ ...lora, strength }] }).apply(recipe);
          throw new UsageError(
            `${option}=${strength}: expected one LoRA that it is the strength of, found ${lora ? others.length + 1 : 'none'}; give it as --lora, or on an axis of its own`,
          );
        },
      })),
  },
  prompt: {
    description: 'whole prompts: "a fox","a hen, asleep"; "" is the empty one',
    mayBeEmpty: true,
    values: texts((_option, text) => ({
      label: text === '' ? 'prompt: (nothing)' : text,
      apply: (recipe) => ({ ...recipe, prompt: text }),
    })),
  },
  'prompt-sr': {
    description: 'searches the prompts for the first value and puts each in its place',
    values: searchAndReplace,
  },
};

const names = Object.keys(kinds);

/** A line for each axis, for the help. */
export const axesHelp: string = names
  .map((name) => `  ${name.padEnd(16)} ${kinds[name]!.description}`)
  .join('\n');

/** A reader for `--x steps=1,2,4`. flag: `--x`. */
export function axisOption(flag: string) {
  return (text: string): Axis => {
    const [, name = text, values] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
    const known = names.find((candidate) => candidate === name.trim());
    if (known === undefined) {
      const near = nearest(name.trim(), names);
      throw new UsageError(
        `${flag} ${text === '' ? '""' : text}: there is no axis "${name.trim()}"; expected one of ${names.join(', ')}, as in ${flag} steps=1,2,4${near ? `. Did you mean ${near}?` : ''}`,
      );
    }
    const kind = kinds[known]!;
    if (values === undefined || (values.trim() === '' && !kind.mayBeEmpty)) {
      throw new UsageError(`${flag} ${text}: expected values after it, as in ${flag} steps=1,2,4`);
    }
    return { flag, name: known, values: kind.values(`${flag} ${known}`, values) };
  };
}

/** Throws UsageError for axes that would overwrite each other. */
export function requireDistinct(axes: readonly Axis[]): void {
  const seen = new Map<string, Axis>();
  for (const axis of axes) {
    // Several words may be replaced, one on each axis.
    if (axis.name === 'prompt-sr') continue;
    const sets = axis.name === 'size' ? ['width', 'height'] : [axis.name];
    for (const one of sets) {
      const other = seen.get(one);
      if (other) {
        throw new UsageError(
          `${other.flag} ${other.name} and ${axis.flag} ${axis.name}: both set the ${one}; keep one of them`,
        );
      }
      seen.set(one, axis);
    }
  }
}

/** Sorts axes by the order in which their values change a recipe. */
export function byOrder(a: Axis, b: Axis): number {
  return names.indexOf(a.name) - names.indexOf(b.name);
}

/** The options with what the axes added to them. */
export function optionsOf({ options, lora }: Recipe): GenerationOptions {
  return lora === undefined || lora === 'none'
    ? options
    : { ...options, lora: [...(options.lora ?? []), lora] };
}

/** The options that an axis sets in place of a flag, by their names in `GenerationOptions`. */
export function optionsSetBy({ name }: Axis): string[] {
  if (name === 'size') return ['width', 'height'];
  return [name.replace(/-(\w)/g, (_, letter: string) => letter.toUpperCase())];
}

function setting(values: Partial<GenerationOptions>): Pick<AxisValue, 'apply'> {
  return { apply: (recipe) => ({ ...recipe, options: { ...recipe.options, ...values } }) };
}

/** An axis of what stands in place of a part of the model. */
function part(key: 'unet' | 'vae', expected: string): AxisKind {
  return {
    description: `as of --${key}, or none for the model's own`,
    values: texts((option, text) => {
      const path = required(option, text, `${expected}, or none for the model's own`);
      return path === 'none'
        ? { label: `${key}: none`, ...setting({ [key]: undefined }) }
        : { label: `${key}: ${nameOf(path)}`, ...setting({ [key]: path }) };
    }),
  };
}

/** An axis of the values of one setting. */
function settingAxis(name: FlagSetting): AxisKind {
  const { kind, words, description }: RequestSetting = requestSettings[name];
  const about = examples[name] ?? description;
  const value = (option: string, text: string): AxisValue => ({
    text,
    label: kind.type === 'choice' ? text : `${words}: ${text}`,
    ...setting({ [name]: settingReader(name, option)(text) }),
  });
  switch (kind.type) {
    case 'integer':
    case 'number':
      return {
        description: about,
        values: (option, text) => {
          const read = settingReader(name, option) as (text: string) => number;
          return numberList(option, text, read, kind.type === 'integer').map((number) => ({
            text: String(number),
            label: `${words}: ${number}`,
            ...setting({ [name]: number }),
          }));
        },
      };
    case 'text':
      return {
        description: about,
        mayBeEmpty: true,
        values: texts((_option, text) => ({
          label: `${words.replace(/ prompt$/, '')}: ${text === '' ? '(nothing)' : text}`,
          ...setting({ [name]: text }),
        })),
      };
    default:
      return {
        description: about,
        values: (option, text) => splitList(option, text).map((part) => value(option, part)),
      };
  }
}

function numberList(option: string, text: string, read: (text: string) => number, whole: boolean): number[] {
  return splitList(option, text).flatMap((part) => {
    const range = rangeOf(option, part, whole);
    // Their ends are checked as any value is.
    return range ? range.map((value) => read(String(value))) : [read(part)];
  });
}

function texts(describe: (option: string, text: string) => Omit<AxisValue, 'text'>) {
  return (option: string, text: string): AxisValue[] =>
    splitList(option, text).map((part) => ({ text: part, ...describe(option, part) }));
}

/** Automatic1111's "Prompt S/R". */
function searchAndReplace(option: string, text: string): AxisValue[] {
  const values = splitList(option, text);
  const search = required(option, values[0]!, 'first the words to search for');
  return values.map((value) => ({
    text: value,
    label: value === '' ? `without ${search}` : value,
    apply(recipe) {
      const { prompt, options } = recipe;
      const { negativePrompt } = options;
      if (!prompt.includes(search) && !negativePrompt?.includes(search)) {
        throw new UsageError(
          `${option}=${search}: the prompt has no "${search}" to replace; it is "${prompt}"${negativePrompt ? `, the negative prompt "${negativePrompt}"` : ''}`,
        );
      }
      return {
        ...recipe,
        prompt: prompt.replaceAll(search, value),
        options: { ...options, negativePrompt: negativePrompt?.replaceAll(search, value) },
      };
    },
  }));
}

function required(option: string, text: string, expected: string): string {
  if (text.trim() !== '') return text;
  throw new UsageError(`${option}=${text}: one of the values is empty; expected ${expected}`);
}

/** The last part of a path or of a name on the hub, without the ending of a file. */
function nameOf(path: string): string {
  return basename(path.replaceAll('\\', '/')).replace(/\.safetensors$/i, '') || path;
}
