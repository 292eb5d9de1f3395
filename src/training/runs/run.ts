/** What every training run does around its own objective: its folder, its plan, and its loop. */
import { join } from 'node:path';
import { abortable } from '../../engines/abortable.ts';
import type { Engine, Executable } from '../../engines/engine.ts';
import type { Program } from '../../graph/program.ts';
import type { Image } from '../../images/image.ts';
import type { Weights } from '../../weights/weights.ts';
import type { OnProgress } from '../loop/events.ts';
import { type Training, train } from '../loop/trainer.ts';
import { compileShares, SizedStep } from '../update/data-parallel.ts';
import type { FlatParameters } from '../update/flat-parameters.ts';
import { learningRateFactor } from '../update/learning-rate.ts';
import { AdamW } from '../update/optimizer.ts';
import { type Batch, type HostStepperOptions, hostStepper } from '../update/stepper.ts';
import type { RunConfig } from './config.ts';
import { type Validation, validate } from './validation.ts';

/** What a run needs from outside. */
export interface RunIO {
  readonly engine: Engine;
  /** Engines that share every training step's batch; `engine` alone if there are none. */
  readonly replicas?: readonly Engine[];
  /** The run's folder; a run that stopped here goes on. */
  readonly directory: string;
  readonly onProgress?: OnProgress;
  readonly signal?: AbortSignal;
  /** Draws a sample sheet every `cadence.sampleEvery` steps. */
  readonly onSample?: (sample: Sample) => Promise<void>;
}

/** How a training is doing, as pictures. */
export interface Sample {
  /** Updates that the model has had. */
  readonly step: number;
  readonly sheet: SampleSheet;
  /** A run goes on from this step: what there is to see may have been drawn before. */
  readonly again: boolean;
}

/** Pictures that show how a training is doing: to be drawn with the model so far, or made already. */
export type SampleSheet =
  | {
      readonly kind: 'drawn';
      /** What is to draw: a folder, and LoRAs for it. */
      readonly model: string;
      readonly loras: readonly string[];
      readonly prompts: readonly string[];
      /** Finds the pictures trained on that come nearest to those drawn; absent where there is no end of them. */
      readonly nearest?: ((images: readonly Image[]) => Promise<NearPicture[]>) | undefined;
    }
  | {
      readonly kind: 'pictures';
      /** In rows of `columns`. */
      readonly images: readonly Image[];
      readonly columns: number;
      /** What they show. */
      readonly description: string;
    };

/** A picture that was trained on. */
export interface NearPicture {
  readonly image: Image;
  /** How far it is from another: the root of the mean squared difference of their latents, 0 for a copy. */
  readonly distance: number;
}

/** The engines that compute training steps. */
export function replicasOf({ engine, replicas }: Pick<RunIO, 'engine' | 'replicas'>): readonly Engine[] {
  return replicas && replicas.length > 0 ? replicas : [engine];
}

/** What a run would do: what `--dry-run` shows. */
export interface RunPlan {
  readonly config: RunConfig;
  /** How many numbers are trained, by network. */
  readonly parameters: Readonly<Record<string, number>>;
  readonly flopsPerStep: number;
  readonly flopsPerPicture: number;
  /** Bytes of memory, at least; and of the disk, for the latents cache and checkpoints. */
  readonly memory: number;
  readonly disk: number;
}

/** What a training comes to. */
export interface RunResult {
  readonly plan: RunPlan;
  readonly step: number;
  /** False when the signal stopped the run early; the same call goes on with it. */
  readonly completed: boolean;
  /**
   * The diffusers folder with the averaged weights, written at every sample and when the run ends or is stopped after a
   * step.
   */
  readonly modelDirectory: string;
}

/** What a kind of training brings to the loop. */
export interface RunParts {
  /** For messages: `diffusion`. */
  readonly name: string;
  readonly plan: RunPlan;
  /** The training step, for the share of the batch that each replica takes; one for every size of pictures. */
  readonly steps: readonly [Program, ...Program[]];
  /** Frozen weights, bound when the step is compiled. */
  readonly weights?: Weights;
  readonly parameters: FlatParameters;
  readonly averages: HostStepperOptions['averages'];
  readonly feeds?: HostStepperOptions['feeds'];
  readonly batch: Training['batch'];
  /** Batches of pictures that are not trained on, and the averaged parameters, whose loss on them is told. */
  readonly validation?: (Validation & { readonly model: FlatParameters }) | undefined;
  /** Writes what was learned so far to the folder. */
  readonly writeModel: (modelDirectory: string) => Promise<void>;
  /** What the model that was just written to the folder has to show; undefined for what cannot be seen. */
  readonly sheet?: ((modelDirectory: string) => SampleSheet) | undefined;
}

/** From this many numbers on an update is shared among threads; with fewer it takes less time than asking them. */
const SHARED_FROM = 2 ** 18;

/** Compiles the step, trains, and writes the model, to `<directory>/model`, when samples are due and when it ends. */
export async function runSteps(config: RunConfig, io: RunIO, parts: RunParts): Promise<RunResult> {
  const { directory, onProgress, signal } = io;
  const { name, plan, weights, parameters, averages, feeds, batch, writeModel } = parts;
  const { steps, accumulate, optimizer, cadence } = config;
  const modelDirectory = join(directory, 'model');
  onProgress?.({ type: 'phase', message: 'compiling the training step' });
  let written = 0;
  const write = async (at: number) => {
    if (at === written) return;
    await writeModel(modelDirectory);
    written = at;
  };
  const replicas = replicasOf(io);
  const compile = (step: Program) =>
    abortable(compileShares(replicas, step, { weights, name: `${name} training step` }), signal);
  const [step, ...further] = parts.steps;
  const program = further.length > 0 ? new SizedStep(parts.steps, compile) : await compile(step);
  const adamW = new AdamW(parameters, {
    ...optimizer,
    averages: Object.values(averages),
    // While the parameters are updated the engines rest.
    threads: parameters.values.length < SHARED_FROM ? 1 : replicas.length,
  });
  try {
    const result = await train({
      directory,
      steps,
      stepper: hostStepper({
        program,
        parameters,
        optimizer: adamW,
        averages,
        feeds,
        maxGradientNorm: optimizer.maxGradientNorm,
      }),
      batch: accumulate === 1 ? batch : (at) => together(batch, at * accumulate, accumulate),
      learningRate: (at) => optimizer.learningRate * learningRateFactor(optimizer.schedule, at, steps),
      cadence,
      onSample: async (at, again) => {
        await write(at);
        if (parts.validation) {
          const { validation } = parts;
          const inputs = { ...validation.model.tensors(), ...feeds };
          await validate({ ...io, program, inputs, validation, cadence, step: at, again });
        }
        if (parts.sheet) await io.onSample?.({ step: at, sheet: parts.sheet(modelDirectory), again });
      },
      onProgress,
      signal,
    });
    await write(result.step);
    return { ...result, plan, modelDirectory };
  } finally {
    // An engine finishes what it is at before it lets go, and frees the rest itself when it is disposed of.
    if (!signal?.aborted) await program.dispose();
    await adamW.dispose();
  }
}

/** `count` batches from number `first` on, for one update. */
async function together(batch: RunParts['batch'], first: number, count: number): Promise<Batch> {
  const [head, ...more] = await Promise.all(Array.from({ length: count }, (_, i) => batch(first + i)));
  return { ...head!, more, images: count * head!.images };
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
