/** `lcm info` of a training's folder: what is trained on what, how far it is, and how it is doing. */
import { join } from 'node:path';
import { isJsonObject, type JsonObject } from '../../files/json.ts';
import { pathKind } from '../../files/node/path-kind.ts';
import { readJsonObject } from '../../files/node/text-file.ts';
import { checkpoints } from '../../training/loop/checkpoint.ts';
import { type MetricsRecord, readMetrics } from '../../training/loop/metrics.ts';
import { RUN_MODEL } from '../../weights/node/run-folder.ts';
import type { Reporter } from '../progress.ts';
import { line } from './numbers.ts';

/** Records that are shown, the newest last. */
const SHOWN = 3;
/** Characters of a setting that are shown: configurations of networks are longer. */
const LONGEST = 200;

export async function describeRun(path: string, reporter: Reporter): Promise<void> {
  const settings = await readJsonObject(join(path, 'config.json'));
  const records = await readMetrics(join(path, 'metrics.jsonl'));
  const checkpoint = (await checkpoints(path)).at(-1);
  const step = checkpoint?.step ?? 0;
  const model = (await pathKind(join(path, RUN_MODEL))) === 'folder' ? join(path, RUN_MODEL) : undefined;
  const last = records.slice(-SHOWN);
  reporter.event('run', { path, step, settings, records: last, model });
  reporter.print(`${path}: the folder of a training`);
  const print = (heading: string, text: string) => reporter.print(line(heading, ` ${text}`));
  print('done', `${step} of ${settings.steps} steps${checkpoint ? '' : ', no checkpoint yet'}`);
  for (const record of last) print(`step ${record.step}`, lossesOf(record));
  for (const [name, value] of Object.entries(settings)) {
    if (name === 'steps' || value === null) continue;
    const text = written(value);
    print(name, text.length > LONGEST ? `see ${join(path, 'config.json')}` : text);
  }
  print('model', model ?? 'none yet');
}

function lossesOf(record: MetricsRecord): string {
  const losses = Object.entries(record).filter(([name]) => /^(validation_)?loss(_|$)/.test(name));
  const rate = record.images_per_second;
  return [
    ...losses.map(([name, value]) => `${name} ${value.toPrecision(3)}`),
    ...(rate === undefined ? [] : [`${rate.toFixed(1)} images/s`]),
  ].join(', ');
}

/** `learningRate 0.001, schedule (kind cosine, warmupSteps 50)`. */
function written(value: unknown): string {
  if (Array.isArray(value)) return value.join(', ');
  if (!isJsonObject(value)) return String(value);
  const fields = Object.entries(value as JsonObject).filter(([, field]) => field !== null);
  return fields
    .map(
      ([name, field]) =>
        `${name} ${isJsonObject(field) || Array.isArray(field) ? `(${written(field)})` : field}`,
    )
    .join(', ');
}
