/** What every training run does around its own objective: its folder, its plan, and its loop. */
import { join } from 'node:path';
import type { Engine, Executable } from '../../engines/engine.ts';
import type { Program } from '../../graph/program.ts';
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
  /** Called every `cadence.sampleEvery` steps. */
  readonly onSample?: (sample: Sample) => Promise<void>;
}

/** What is to be drawn by a model that is being trained. */
export interface Sample {
  /** Updates that the model has had. */
  readonly step: number;
  /** The folder to which it was just written. */
  readonly model: string;
  /** Empty for parts that cannot draw. */
  readonly prompts: readonly string[];
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
  readonly samplePrompts: readonly string[];
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
        await io.onSample?.({ step: at, model: modelDirectory, prompts: parts.samplePrompts });
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
