/**
 * `parameters` as Automatic1111 and Forge write it: the prompt, the negative prompt, and a last line of fields,
 * `Steps: 20, Sampler: Euler a, …`. As its `parse_generation_parameters` reads it.
 */

import { type SchedulerName, schedulerNames } from '../../components/scheduler.ts';
import { withoutNetworks, withoutWeights } from '../../text/prompt-syntax.ts';
import { automatic1111Samplers } from '../picture-text.ts';
import { type NamedSetting, requestSettings } from '../request-settings.ts';
import { type ForeignSettings, Gathered } from './settings.ts';

/** What a setting is called there. */
const named = (name: NamedSetting): string => requestSettings[name].inAutomatic1111;

const NEGATIVE = `${named('negativePrompt')}:`;

/** A line with so many fields is the last one. */
const FEWEST_FIELDS = 3;

/** Undefined for a text that is none of such. */
export function readAutomatic1111(text: string): ForeignSettings | undefined {
  const lines = text.trim().split(/\r?\n/);
  const last = lines.findLastIndex((line) => /^\s*Steps: \d/.test(line));
  const fields = last < 0 ? new Map<string, string>() : fieldsOf(lines[last]!);
  if (fields.size < FEWEST_FIELDS) return undefined;
  const from = lines.slice(0, last).findIndex((line) => line.trim().startsWith(NEGATIVE));
  const end = from < 0 ? last : from;
  const negative = lines.slice(end, last).join('\n').trim().slice(NEGATIVE.length).trim();
  return settingsOf(lines.slice(0, end).join('\n').trim(), negative, fields);
}

const KEY = /\s*(\w[\w \-/]{0,60}):\s*/y;
const QUOTED = /"(?:\\.|[^"\\])*"/y;

/** Values with commas are quoted as in JSON. */
function fieldsOf(line: string): Map<string, string> {
  const fields = new Map<string, string>();
  for (let at = 0; at < line.length; ) {
    KEY.lastIndex = at;
    const key = KEY.exec(line);
    if (key) at = KEY.lastIndex;
    QUOTED.lastIndex = at;
    const quoted = key && QUOTED.exec(line)?.[0];
    const comma = line.indexOf(',', quoted ? QUOTED.lastIndex : at);
    const end = comma < 0 ? line.length : comma;
    if (key) fields.set(key[1]!, quoted ? unquoted(quoted) : line.slice(at, end).trim());
    at = end + 1;
  }
  return fields;
}

function unquoted(text: string): string {
  try {
    return String(JSON.parse(text));
  } catch {
    return text.slice(1, -1); // as Automatic1111 takes what is no JSON
  }
}

/** Fields that name, count or check, and change no picture by themselves; and those that are looked at. */
const KNOWN = new Set([
  ...(['steps', 'scheduler', 'guidanceScale', 'seed', 'width', 'clipSkip', 'strength'] as const).map(named),
  'Schedule type',
  ...['Model', 'Model hash', 'VAE', 'VAE hash', 'Version', 'Lora hashes', 'TI hashes', 'Hashes', 'RNG'],
  ...['User', 'Created Date', 'Batch size', 'Batch pos', 'Civitai resources', 'Civitai metadata', 'Module 1'],
]);

function settingsOf(
  prompt: string,
  negativePrompt: string,
  fields: ReadonlyMap<string, string>,
): ForeignSettings {
  const gathered = new Gathered();
  const field = (name: string) => fields.get(name);
  const number = (name: string) => {
    const text = field(name);
    return text === undefined || text === '' ? undefined : Number(text);
  };
  const words = (name: string) => `${name} ${field(name)}`;
  const positive = withoutNetworks(prompt);
  const [plain, plainNegative] = [positive.prompt, withoutNetworks(negativePrompt).prompt].map((text) =>
    withoutWeights(text, { brackets: true }),
  );
  if (plain!.weighted || plainNegative!.weighted) gathered.leaveOut('weights in the prompt');

  const keep = (
    setting: Exclude<NamedSetting, 'negativePrompt' | 'scheduler'>,
    value = number(named(setting)),
  ) => gathered.keep(setting, value, words(named(setting)));
  keep('steps');
  keep('guidanceScale');
  // −1 stands for one that is drawn.
  if (number(named('seed')) !== -1) keep('seed');
  const [width, height] = field(named('width'))?.split('x').map(Number) ?? [];
  if (width !== undefined) keep('width', width);
  if (height !== undefined) keep('height', height);
  // Clip skip is counted from the last layer there, which is 1.
  const clipSkip = number(named('clipSkip'));
  if (clipSkip !== undefined) keep('clipSkip', Math.max(0, clipSkip - 1));
  // The strength of a second, larger pass has the same name, and that pass is left out as a whole.
  const isHires = [...fields.keys()].some((name) => name.startsWith('Hires'));
  if (isHires) gathered.leaveOut('hires');
  else keep('strength');
  const scheduler = schedulerOf(field(named('scheduler')), field('Schedule type'), gathered);
  for (const { kind, name } of positive.networks) if (kind !== 'lora') gathered.leaveOut(`${kind} ${name}`);
  for (const name of fields.keys()) {
    if (!KNOWN.has(name) && !name.startsWith('Hires')) gathered.leaveOut(words(name));
  }
  return {
    program: 'Automatic1111',
    prompt: plain!.prompt,
    ...(negativePrompt !== '' && { negativePrompt: plainNegative!.prompt }),
    ...gathered.values,
    ...(scheduler && { scheduler }),
    ...(field('Model') && { model: field('Model')! }),
    ...(field('VAE') && field('VAE') !== 'None' && { vae: field('VAE')! }),
    loras: positive.networks.filter(({ kind }) => kind === 'lora'),
    leftOut: gathered.leftOut,
  };
}

const SCHEDULERS = new Map(schedulerNames.map((name) => [automatic1111Samplers[name], name]));

/** The noise levels that the type `Automatic` stands for, where they are not the usual ones. */
const AUTOMATIC: Readonly<Record<string, string>> = {
  'DPM++ 2M': 'Karras',
  'DPM++ SDE': 'Karras',
  DPM2: 'Karras',
  'DPM++ 2M SDE': 'Exponential',
};

/** Newer versions name noise levels in a field of their own, older ones behind the sampler's name. */
function schedulerOf(
  sampler: string | undefined,
  type: string | undefined,
  gathered: Gathered,
): SchedulerName | undefined {
  if (sampler === undefined) return undefined;
  const [, own = sampler, behind] = /^(.*) (Karras|Exponential)$/.exec(sampler) ?? [];
  const levels = behind ?? (type === 'Automatic' ? AUTOMATIC[own] : type);
  const exact = SCHEDULERS.get(`${own} ${levels}`);
  if (exact !== undefined) return exact;
  const scheduler = SCHEDULERS.get(own);
  if (scheduler === undefined) gathered.leaveOut(`Sampler ${sampler}`);
  else if (levels !== undefined && !['Normal', 'Uniform'].includes(levels)) {
    gathered.leaveOut(`Schedule type ${levels}`);
  }
  return scheduler;
}
