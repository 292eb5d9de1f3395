/**
 * The flags of trainings: names under which hands know settings from other tools. What each is for, its type and its range
 * are those of the setting; a command has the flags whose settings its kind of training has. `--set` reaches the others.
 */
import type { Command } from 'commander';
import { SettingError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { nearest } from '../../nearest.ts';
import type { ListedSetting, SettingSchema } from '../../training/runs/setting-list.ts';
import { overlay } from '../../training/runs/settings.ts';
import { settingOf } from './flag-names.ts';
import { integer, number, oneOf } from './values.ts';

interface TrainingFlag {
  readonly path: string;
  /** How the help calls the value. */
  readonly value?: string;
  /** Where the flag says more than the setting: several values at once, a value that stands for others. */
  readonly read?: (text: string) => JsonObject;
  readonly words?: string;
  readonly isRepeatable?: boolean;
}

/** `0.5..3`. */
function guidanceRange(text: string): JsonObject {
  const [min, max, ...rest] = text
    .split('..')
    .map((part) => (part.trim() === '' ? Number.NaN : Number(part)));
  if (rest.length > 0 || !Number.isFinite(min) || !Number.isFinite(max ?? min)) {
    throw new SettingError('guidance', '--guidance', `${text}: expected two numbers such as 0.5..3`);
  }
  return { guidance: { min: min!, max: max ?? min! } };
}

const layers = integer('--student-layers', { min: 1, max: 8 });

/** In the order of the help. */
const flags: Readonly<Record<string, TrainingFlag>> = {
  '--data': {
    path: 'data.path',
    value: 'dir',
    words: 'a folder with pictures and captions',
    read: (path) => ({ data: { kind: 'folder', path } }),
  },
  '--caption-column': { path: 'data.captionColumn', value: 'name' },
  '--resolution': { path: 'data.resolution' },
  '--crop': { path: 'data.crop' },
  '--flip': { path: 'data.flip' },
  '--buckets': { path: 'data.buckets' },
  '--labels': { path: 'data.labels' },
  '--unconditional': { path: 'data.unconditional' },
  '--part': { path: 'part' },
  '--initial': { path: 'initial', value: 'model' },
  '--vae': { path: 'vae', value: 'model' },
  '--teacher': { path: 'teacher', value: 'model' },
  '--steps': { path: 'steps' },
  '--epochs': { path: 'epochs' },
  '--batch': { path: 'batch' },
  '--accumulate': { path: 'accumulate' },
  '--learning-rate': { path: 'optimizer.learningRate' },
  '--lr-schedule': { path: 'optimizer.schedule.kind' },
  '--warmup': { path: 'optimizer.schedule.warmupSteps' },
  '--ema': { path: 'ema' },
  '--seed': { path: 'seed' },
  '--caption-dropout': { path: 'captionDropout' },
  '--preset': { path: 'preset' },
  '--objective': { path: 'objective' },
  '--start': { path: 'start', value: 'model' },
  '--student-layers': {
    path: 'student',
    value: 'n',
    words: 'layers of every block of a smaller student, which starts from weights of the teacher',
    read: (text) => ({ student: { layers_per_block: layers(text) } }),
  },
  '--lora': {
    path: 'loras',
    value: 'file[:strength]',
    words: 'a LoRA that the teacher has merged in; may be given several times',
    isRepeatable: true,
  },
  '--lora-rank': { path: 'lora.rank', words: 'trains a LoRA of this rank in place of all weights' },
  '--lora-alpha': { path: 'lora.alpha' },
  '--lora-format': { path: 'loraFormat' },
  '--save-dtype': { path: 'saveDtype' },
  '--solver': { path: 'solver' },
  '--substeps': { path: 'substeps' },
  '--guidance': {
    path: 'guidance.min',
    value: 'min..max',
    words: 'the range of w = guidance scale − 1, drawn for every sample',
    read: guidanceRange,
  },
  '--distance': { path: 'distance.kind' },
  '--target': { path: 'target' },
  '--validation-prompt': {
    path: 'validationPrompts',
    value: 'text',
    words: 'what sample sheets show, in place of captions; may be given several times',
    isRepeatable: true,
  },
  '--sample-every': { path: 'cadence.sampleEvery' },
  '--keep-checkpoints': { path: 'cadence.keepCheckpoints' },
};

/** Adds the flags of those settings, and `--set`. They are collected as settings in the option `settings`. */
export function withTrainingFlags(command: Command, settings: readonly ListedSetting[]): Command {
  const given: { settings: JsonObject } = { settings: {} };
  const add = (more: JsonObject) => {
    given.settings = overlay(given.settings, more);
  };
  for (const [flag, { path, value, read, words, isRepeatable }] of Object.entries(flags)) {
    const listed = settings.find((setting) => setting.path === path);
    if (!listed) continue;
    const schema = valueSchema(listed.schema);
    const help = words ?? `${listed.words}${defaultOf(listed.schema)}`;
    if (schema.type === 'boolean') {
      command.option(flag, help, () => add(at(path, true)));
      continue;
    }
    const prompts: string[] = [];
    command.option(`${flag} <${value ?? valueName(schema)}>`, help, (text: string) => {
      if (isRepeatable) prompts.push(text);
      add(read?.(text) ?? at(path, isRepeatable ? [...prompts] : reader(flag, schema)(text)));
      return text;
    });
  }
  return command
    .option(
      '--set <path=value>',
      'any setting of docs/training-settings.md, such as optimizer.weightDecay=0.01; may be given several times',
      (text: string) => {
        add(assignment(text, settings));
        return text;
      },
    )
    .hook('preAction', (_, action) => {
      action.setOptionValue('settings', given.settings);
    });
}

/** `{"optimizer": {"learningRate": value}}`. */
function at(path: string, value: unknown): JsonObject {
  return path.split('.').reduceRight<unknown>((inner, name) => ({ [name]: inner }), value) as JsonObject;
}

/** Throws SettingError for a setting that does not exist, naming those that are called alike. */
function assignment(text: string, settings: readonly ListedSetting[]): JsonObject {
  const [, path, value] = /^([^=]*)=(.*)$/s.exec(text) ?? [];
  if (path === undefined || value === undefined) {
    throw new SettingError('set', '--set', `${text}: expected a setting and its value, such as batch=16`);
  }
  const paths = [...new Set(settings.map((setting) => setting.path))];
  // Configurations of networks have fields of their own, which nobody lists here.
  const isKnown = paths.some((known) => path === known || path.startsWith(`${known}.`));
  if (!isKnown) {
    const last = path.split('.').at(-1)!;
    const alike = [nearest(path, paths), ...paths.filter((known) => known.split('.').at(-1) === last)];
    const near = [...new Set(alike.filter((name) => name !== undefined))];
    const closest = nearest(
      last,
      paths.map((known) => known.split('.').at(-1)!),
    );
    const others = paths.filter((known) => known.split('.').at(-1) === closest);
    const found = (near.length > 0 ? near : others).slice(0, 3);
    const hint =
      found.length > 0 ? `did you mean ${found.join(' or ')}?` : 'docs/training-settings.md lists them';
    throw new SettingError(path, '', `--set ${path}: there is no such setting; ${hint}`);
  }
  return at(path, parsed(value));
}

/** JSON, or else a text as it stands. */
function parsed(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return value;
  }
}

/** Of a setting that may be null: what else it may be. */
function valueSchema(schema: SettingSchema): SettingSchema {
  return schema.anyOf?.find(({ type }) => type !== 'null') ?? schema;
}

function reader(flag: string, schema: SettingSchema): (text: string) => unknown {
  if (schema.enum) return oneOf(flag, schema.enum);
  if (schema.type === 'integer') return integer(flag, rangeOf(schema));
  if (schema.type !== 'number') return (text) => text;
  const read = number(flag, rangeOf(schema));
  const { exclusiveMinimum: above, exclusiveMaximum: below } = schema;
  return (text) => {
    const value = read(text);
    if (value > (above ?? -Infinity) && value < (below ?? Infinity)) return value;
    const limits = [
      above === undefined ? '' : ` above ${above}`,
      below === undefined ? '' : ` below ${below}`,
    ];
    throw new SettingError(settingOf(flag), flag, `${text}: expected a number${limits.join('')}`);
  };
}

function rangeOf({ minimum, maximum }: SettingSchema) {
  return {
    ...(minimum !== undefined && { min: minimum }),
    ...(maximum !== undefined && { max: maximum }),
  };
}

function valueName({ type, enum: words }: SettingSchema): string {
  if (words) return 'name';
  return type === 'integer' ? 'n' : type === 'number' ? 'x' : 'text';
}

function defaultOf({ default: value, enum: names, anyOf }: SettingSchema): string {
  const words = names ?? anyOf?.find((each) => each.enum)?.enum;
  const choices = words ? `: ${words.join(', ')}` : '';
  return value === undefined || value === null || value === false
    ? choices
    : `${choices} (default: ${value})`;
}
