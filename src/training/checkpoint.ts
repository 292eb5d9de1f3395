/**
 * Checkpoints of a training: `checkpoint-<step>/` holds `trainer.safetensors` (parameters, both moments of AdamW,
 * averages) and `state.json` (step, counters, the open reporting interval). There is no generator to save: batch k
 * depends on seed and k alone.
 *
 * A checkpoint is written under another name, brought to the disk, and renamed; only then are older ones removed. So
 * whenever the process or the machine stops, the newest complete folder is a good checkpoint.
 */
import { mkdir, open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../errors.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { bytesOf, parseSafetensors, planSafetensors } from '../weights/safetensors.ts';
import type { Ema } from './ema.ts';
import type { FlatParameters } from './flat-parameters.ts';
import type { Interval } from './metrics.ts';
import type { AdamW } from './optimizer.ts';

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

/** What a checkpoint stores and restores in place. */
export interface Checkpointed {
  readonly parameters: FlatParameters;
  readonly optimizer: AdamW;
  readonly averages: Readonly<Record<string, Ema>>;
}

const NAME = /^checkpoint-(\d+)$/;

/** Writes the checkpoint of `state.step` and removes the older ones. Returns its folder. */
export async function writeCheckpoint(
  directory: string,
  state: TrainingState,
  stored: Checkpointed,
): Promise<string> {
  const path = join(directory, `checkpoint-${String(state.step).padStart(8, '0')}`);
  const partial = `${path}.partial`;
  await rm(partial, { recursive: true, force: true });
  await mkdir(partial, { recursive: true });

  const tensors = new Map(Object.entries(tensorsOf(stored)));
  const { head, names } = planSafetensors(tensors);
  await writeDurably(join(partial, 'trainer.safetensors'), [
    head,
    ...names.map((name) => bytesOf(tensors.get(name)!)),
  ]);
  const json = JSON.stringify({ ...state, optimizerUpdates: stored.optimizer.updates }, null, 2);
  await writeDurably(join(partial, 'state.json'), [new TextEncoder().encode(`${json}\n`)]);
  await syncDirectory(partial);

  await rm(path, { recursive: true, force: true });
  await rename(partial, path);
  await syncDirectory(directory);
  for (const step of await checkpointSteps(directory)) {
    if (step.path !== path) await rm(step.path, { recursive: true, force: true });
  }
  return path;
}

/** Restores the newest checkpoint of `directory` in place and returns its state; undefined when there is none. */
export async function readLatestCheckpoint(
  directory: string,
  stored: Checkpointed,
): Promise<TrainingState | undefined> {
  const latest = (await checkpointSteps(directory)).at(-1);
  if (!latest) return undefined;
  const file = join(latest.path, 'trainer.safetensors');
  const { tensors } = parseSafetensors(await readFile(file), file);
  const expected = tensorsOf(stored);
  for (const name of Object.keys(expected)) {
    if (!tensors.has(name)) throw mismatch(latest.path, `it holds no "${name}"`);
  }
  for (const [name, tensor] of tensors) {
    const place = expected[name];
    if (!place) throw mismatch(latest.path, `it holds "${name}", which this training does not have`);
    if (place.shape.join() !== tensor.shape.join() || place.dtype !== tensor.dtype) {
      throw mismatch(
        latest.path,
        `"${name}" is ${tensor.dtype} [${tensor.shape}], here ${place.dtype} [${place.shape}]`,
      );
    }
    (place.data as Float32Array).set(tensor.data as Float32Array);
  }
  const text = await readFile(join(latest.path, 'state.json'), 'utf8');
  const { optimizerUpdates, ...state } = JSON.parse(text) as TrainingState & { optimizerUpdates: number };
  stored.optimizer.updates = optimizerUpdates;
  return state;
}

/** The complete checkpoints of a run, oldest first. */
export async function checkpointSteps(directory: string): Promise<{ step: number; path: string }[]> {
  const names = await readdir(directory).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return names
    .flatMap((name) => {
      const match = NAME.exec(name);
      return match ? [{ step: Number(match[1]), path: join(directory, name) }] : [];
    })
    .sort((a, b) => a.step - b.step);
}

function tensorsOf({ parameters, optimizer, averages }: Checkpointed): Record<string, HostTensor> {
  return {
    ...parameters.tensors('parameters/'),
    ...optimizer.firstMoment.tensors('first_moment/'),
    ...optimizer.secondMoment.tensors('second_moment/'),
    ...Object.assign(
      {},
      ...Object.entries(averages).map(([name, average]) => average.parameters.tensors(`average/${name}/`)),
    ),
  };
}

async function writeDurably(path: string, pieces: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (const piece of pieces) {
      for (let done = 0; done < piece.byteLength; ) {
        done += (await file.write(piece, done)).bytesWritten;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return; // directories cannot be opened there
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function mismatch(path: string, what: string): InputError {
  return new InputError(
    `${path} does not belong to this training: ${what}. Use the settings it was started with, or another folder`,
  );
}
