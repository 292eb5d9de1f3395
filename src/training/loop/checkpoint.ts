/**
 * Checkpoints of a training: `checkpoint-<step>/` holds `trainer.safetensors` (parameters, both moments of AdamW,
 * averages) and `state.json` (step, counters, the open reporting interval). There is no generator to save: batch k
 * depends on seed and k alone.
 *
 * A checkpoint is written under another name, brought to the disk, and renamed; only then are older ones removed. So
 * whenever the process or the machine stops, the newest complete folder is a good checkpoint.
 */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { isJsonObject } from '../../files/json.ts';
import { isMissing, namesIn } from '../../files/node/regular-file.ts';
import { readJsonObject } from '../../files/node/text-file.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { writeDirectoryAtomically, writeDurably } from '../../weights/node/atomic-write.ts';
import { openSafetensors, writeSafetensors } from '../../weights/node/safetensors-file.ts';
import type { Stepper, StepperState } from '../update/stepper.ts';
import type { Interval } from './metrics.ts';

/** Where a training stands, but for its arrays. */
export interface TrainingState {
  /** Updates made. */
  step: number;
  /** Pictures seen. */
  images: number;
  /** Time spent in steps. */
  seconds: number;
  /** What was reported since the last record in `metrics.jsonl`. */
  interval: Interval;
}

const NAME = /^checkpoint-(\d+)$/;
const ARRAYS = 'trainer.safetensors';
const STATE = 'state.json';

/** Writes the checkpoint of `state.step` and removes all but the newest `keep`. Returns its folder. */
export async function writeCheckpoint(
  directory: string,
  state: TrainingState,
  { tensors, updates }: StepperState,
  keep = 1,
): Promise<string> {
  const path = join(directory, `checkpoint-${String(state.step).padStart(8, '0')}`);
  const json = JSON.stringify({ ...state, optimizerUpdates: updates }, null, 2);
  await writeDirectoryAtomically(
    path,
    async (partial) => {
      await writeSafetensors(join(partial, ARRAYS), new Map(Object.entries(tensors)));
      await writeDurably(join(partial, STATE), [new TextEncoder().encode(`${json}\n`)]);
    },
    { replace: true },
  );
  const others = (await checkpoints(directory)).filter((each) => each.path !== path);
  for (const { path: other } of others.slice(0, Math.max(0, others.length - (keep - 1)))) {
    await rm(other, { recursive: true, force: true });
  }
  return path;
}

/** Restores the newest checkpoint of `directory` and returns its state; undefined when there is none. */
export async function readLatestCheckpoint(
  directory: string,
  stepper: Stepper,
): Promise<TrainingState | undefined> {
  const latest = (await checkpoints(directory)).at(-1);
  if (!latest) return undefined;
  const { optimizerUpdates, ...state } = await readState(join(latest.path, STATE), latest.step);
  const { weights } = await openSafetensors(join(latest.path, ARRAYS));
  const { tensors: places } = await stepper.state();
  const missing = Object.keys(places).find((name) => !weights.has(name));
  if (missing !== undefined) throw mismatch(latest.path, `it holds no "${missing}"`);
  for (const [name, { dtype, shape }] of weights) {
    const place = places[name];
    if (!place) throw mismatch(latest.path, `it holds "${name}", which this training does not have`);
    if (place.dtype !== dtype || !sameShape(place.shape, shape)) {
      const here = `${place.dtype} ${formatShape(place.shape)}`;
      throw mismatch(latest.path, `"${name}" is ${dtype} ${formatShape(shape)} there and ${here} here`);
    }
  }
  const tensors = Object.fromEntries(await loadTensors(weights));
  await stepper.restore({ tensors, updates: optimizerUpdates });
  return state;
}

/** Throws InputError when the file does not hold what was written after `expected` steps. */
async function readState(
  path: string,
  expected: number,
): Promise<TrainingState & { optimizerUpdates: number }> {
  const { step, images, seconds, optimizerUpdates, interval } = await readJsonObject(path);
  const { sums, counts } = isJsonObject(interval) ? interval : {};
  const stored = { sums: numbersOf(sums), counts: numbersOf(counts) };
  if (
    step === expected &&
    isCount(images) &&
    isCount(optimizerUpdates) &&
    typeof seconds === 'number' &&
    stored.sums &&
    stored.counts
  ) {
    return {
      step,
      images,
      seconds,
      optimizerUpdates,
      interval: { sums: stored.sums, counts: stored.counts },
    };
  }
  throw new InputError(
    `${path} is damaged: expected step ${expected}, and images, seconds, optimizerUpdates and interval as numbers. Remove this checkpoint; the training then goes on from an older one or begins anew`,
    { path, code: 'damaged' },
  );
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * The numbers of a JSON object, undefined for anything else. JSON has null where there was no number to be written.
 */
function numbersOf(value: unknown): Record<string, number> | undefined {
  if (!isJsonObject(value)) return undefined;
  const entries = Object.entries(value).map(([name, entry]) => [name, entry ?? Number.NaN] as const);
  const valid = entries.every((entry): entry is readonly [string, number] => typeof entry[1] === 'number');
  return valid ? Object.fromEntries(entries as readonly (readonly [string, number])[]) : undefined;
}

/** The complete checkpoints of a run, oldest first. */
export async function checkpoints(directory: string): Promise<{ step: number; path: string }[]> {
  const names = await namesIn(directory).catch((error): string[] => {
    if (isMissing(error)) return [];
    throw error;
  });
  return names
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match ? [{ step: Number(match[1]), path: join(directory, name) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

function mismatch(path: string, what: string): InputError {
  return new InputError(
    `${path} does not belong to this training: ${what}. Use the settings it was started with, or another folder`,
    { path, code: 'mismatch' },
  );
}
