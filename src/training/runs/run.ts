/** What every training run does around its own objective: its folder, its plan, and its loop. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Engine, Executable } from '../../engines/engine.ts';
import { UsageError } from '../../errors.ts';
import { parseJsonObject } from '../../files/json.ts';
import { acquireLock } from '../../files/node/lock.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { unwritable } from '../../files/node/unwritable.ts';
import type { Program } from '../../graph/program.ts';
import { shown } from '../../messages.ts';
import { removeLeftovers, writeFileAtomically } from '../../weights/node/atomic-write.ts';
import type { Weights } from '../../weights/weights.ts';
import { compileShares } from '../data-parallel.ts';
import type { OnProgress } from '../events.ts';
import type { FlatParameters } from '../flat-parameters.ts';
import { learningRateFactor } from '../learning-rate.ts';
import { AdamW } from '../optimizer.ts';
import { type Training, train } from '../trainer.ts';
import type { RunConfig } from './config.ts';

/** What a run needs from outside. */
export interface RunIO {
  readonly engine: Engine;
  /** Engines that share every training step's batch; `engine` alone if there are none. */
  readonly replicas?: readonly Engine[];
  /** The run's folder; a run that stopped here goes on. */
  readonly directory: string;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
  /** Called every `cadence.sampleEvery` steps with the folder to which the averaged model was just written. */
  readonly onSample?: (step: number, modelDirectory: string) => Promise<void>;
}

/** The engines that compute training steps. */
export function replicasOf({ engine, replicas }: RunIO): readonly Engine[] {
  return replicas && replicas.length > 0 ? replicas : [engine];
}

/** What a run would do: what `--dry-run` shows. */
export interface RunPlan {
  readonly config: RunConfig;
  /** Trained numbers, by network. */
  readonly parameters: Readonly<Record<string, number>>;
  readonly flopsPerStep: number;
  readonly flopsPerPicture: number;
}

export interface RunResult {
  readonly plan: RunPlan;
  readonly step: number;
  /** False when the signal stopped the run early; the same call goes on with it. */
  readonly completed: boolean;
  /** The diffusers folder with the averaged weights, written at every sample and when the run ends or is stopped. */
  readonly modelDirectory: string;
}

/** Settings that may differ when a run is resumed: they change neither the numbers so far nor what they mean. */
const CHANGEABLE: ReadonlySet<string> = new Set(['steps', 'cadence']);

/**
 * Trains in the run's folder, which is this process's alone meanwhile. Throws InputError when another one has it, and
 * UsageError when it holds a run with other settings.
 */
export async function inRunDirectory<T>(
  config: RunConfig,
  { directory, onProgress, signal }: RunIO,
  use: () => Promise<T>,
): Promise<T> {
  await mkdir(directory, { recursive: true }).catch((error) => {
    throw unwritable(directory, error);
  });
  const lock = await acquireLock(join(directory, '.lock'), {
    what: `the run in ${directory}`,
    signal,
    onWatching: (holder, seconds) =>
      onProgress?.({
        type: 'phase',
        message: `${directory} was last used by ${holder}; waiting up to ${seconds} s for a sign that it still is`,
      }),
  });
  try {
    for (const folder of ['', 'model', 'samples']) await removeLeftovers(join(directory, folder));
    await openRunDirectory(directory, config);
    return await use();
  } finally {
    await lock.release();
  }
}

/**
 * Stores the settings as `config.json` of the run's folder. Throws UsageError when the folder holds a run with other
 * settings: going on with it would mix two trainings.
 */
async function openRunDirectory(directory: string, config: RunConfig): Promise<void> {
  const path = join(directory, 'config.json');
  const wanted = JSON.parse(JSON.stringify(config)) as Record<string, unknown>;
  const text = await readTextIfThere(path);
  if (text !== undefined) {
    const stored = parseJsonObject(text, path);
    // A setting that the stored run does not know came later, and its default means what was done before.
    for (const name of Object.keys(stored)) {
      if (CHANGEABLE.has(name) || isDeepStrictEqual(stored[name], wanted[name])) continue;
      throw new UsageError(
        `${directory} holds a training with ${name} ${shown(stored[name])}, asked for is ${shown(wanted[name])}; use the same settings to go on with it, or another folder`,
      );
    }
  }
  await writeFileAtomically(path, [new TextEncoder().encode(`${JSON.stringify(config, null, 2)}\n`)]);
}

/** What a kind of training brings to the loop. */
export interface RunParts {
  /** For messages: `diffusion`. */
  readonly name: string;
  readonly plan: RunPlan;
  /** The training step, for the share of the batch that each replica takes. */
  readonly step: Program;
  /** Frozen weights, bound when the step is compiled. */
  readonly weights?: Weights;
  readonly parameters: FlatParameters;
  readonly averages: Training['averages'];
  readonly feeds?: Training['feeds'];
  readonly batch: Training['batch'];
  /** Writes what was learned so far to the folder. */
  readonly writeModel: (modelDirectory: string) => Promise<void>;
}

/** Compiles the step, trains, and writes the model, to `<directory>/model`, when samples are due and when it ends. */
export async function runSteps(config: RunConfig, io: RunIO, parts: RunParts): Promise<RunResult> {
  const { directory, onProgress, signal } = io;
  const { name, plan, step, weights, parameters, averages, feeds, batch, writeModel } = parts;
  const { steps, optimizer, cadence } = config;
  const modelDirectory = join(directory, 'model');
  onProgress?.({ type: 'phase', message: 'compiling the training step' });
  const executable = await compileShares(replicasOf(io), step, { weights, name: `${name} training step` });
  const result = await using(executable, () =>
    train({
      directory,
      steps,
      executable,
      parameters,
      optimizer: new AdamW(parameters, optimizer),
      averages,
      feeds,
      batch,
      learningRate: (at) => optimizer.learningRate * learningRateFactor(optimizer.schedule, at, steps),
      maxGradientNorm: optimizer.maxGradientNorm,
      cadence,
      onSample: async (at) => {
        await writeModel(modelDirectory);
        await io.onSample?.(at, modelDirectory);
      },
      onProgress,
      signal,
    }),
  );
  await writeModel(modelDirectory);
  return { ...result, plan, modelDirectory };
}

/** Runs `use` with an executable and frees it afterwards. */
export async function using<T>(
  executable: Executable,
  use: (executable: Executable) => Promise<T>,
): Promise<T> {
  try {
    return await use(executable);
  } finally {
    await executable.dispose();
  }
}
