/**
 * A training as a value. What differs between trainings (their networks, their objective, where batches come from and
 * what is written) is said by a recipe; that which they have in common (plan, folder, initial values, averages, loop,
 * checkpoints) is `train`, once.
 */
import type { JsonObject } from '../../files/json.ts';
import { countFlops } from '../../graph/flops.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import type { Declaration } from '../../layers/params.ts';
import type { Weights } from '../../weights/weights.ts';
import type { PictureSize } from '../data/picture-source.ts';
import { randomStream } from '../data/random-stream.ts';
import { type Objective, trainingProgram } from '../objectives/objective.ts';
import { shareOf } from '../update/data-parallel.ts';
import { Ema } from '../update/ema.ts';
import { type FlatParameters, initialize } from '../update/flat-parameters.ts';
import type { Batch } from '../update/stepper.ts';
import type { RunConfig } from './config.ts';
import { measureStep, requireMemory, spaceOf } from './cost.ts';
import type { Watch } from './pictures.ts';
import { type RunIO, type RunPlan, type RunResult, replicasOf, runSteps, type SampleSheet } from './run.ts';
import { inRunDirectory } from './run-directory.ts';
import type { Validation } from './validation.ts';

/** A kind of training: from settings to a recipe. */
export interface RecipeKind<Config extends RunConfig> {
  /** For messages: `diffusion`. */
  readonly name: string;
  /**
   * Fills the gaps in given settings, also by what the models say that the training starts from. Throws UsageError for
   * what cannot be.
   */
  configure(given: JsonObject): Promise<Config>;
  /** Opens what the training starts from. Throws InputError when it is missing or does not fit. */
  open(config: Config, watch: Watch): Promise<Recipe>;
}

/** What differs between trainings: the networks, the objective, the batches, and what is written. */
export interface Recipe {
  /** Says what is trained on, by kind: a run goes on only with the same. */
  readonly data: Readonly<Record<string, string>>;
  /** Sizes of pictures that batches have, where there are several; the first is the one that is planned for. */
  readonly sizes?: readonly PictureSize[] | undefined;
  /** Writes the training step for a share of each batch, of pictures of that size. */
  write(share: number, size?: PictureSize): WrittenStep;
  /** Sets the values that training starts from where they are not the declared random ones. */
  start?(parameters: FlatParameters): Promise<void>;
  /** Of the file in which the run keeps what it made of the pictures; none by default. */
  readonly cacheBytes?: number;
  /** Averages of the parameters beside `model`, which every training has. */
  readonly averages?: Readonly<Record<string, AverageOptions>>;
  /** Writes what was learned so far, the averaged parameters, to a folder. */
  writeModel(directory: string, model: FlatParameters, io: RunIO): Promise<void>;
  /** How the model that was just written to a folder is doing; nothing for what cannot be seen. */
  sheet?(modelDirectory: string): SampleSheet;
  /** Ends what `open` began, when the last step is done and the model is written. */
  finish?(modelDirectory: string, io: RunIO): Promise<void>;
}

/** An exponential moving average of the parameters. */
export interface AverageOptions {
  readonly decay: number;
  /** The average is given to every step under this prefix and the parameters' names. */
  readonly fedAs: string;
}

/** A training step as a graph, and where its batches come from. */
export interface WrittenStep {
  readonly objective: Objective;
  /** What is trained, by name. */
  readonly trained: ReadonlyMap<string, Declaration>;
  /** How many numbers are trained, by network, for the plan. */
  readonly counts: Readonly<Record<string, number>>;
  /** Frozen weights, bound when the step is compiled. */
  readonly frozen?: Weights | undefined;
  open(io: RunIO): Promise<Batches>;
}

/** Where the batches of a training come from. */
export interface Batches {
  /** Batch `step`, the same at every call. */
  batch(step: number): Promise<Batch>;
  /** The same of pictures that are not trained on; absent where there are none. */
  readonly validation?: Validation | undefined;
  close?(): Promise<void>;
}

/** What a training with these settings would compute. */
export async function plan<Config extends RunConfig>(
  kind: RecipeKind<Config>,
  config: Config,
  watch: Watch = {},
): Promise<RunPlan> {
  const recipe = await kind.open(config, watch);
  return planned(config, recipe, recipe.write(config.batch), 1).plan;
}

/** The largest step, in FLOP, that is compiled and run within half a minute where a processor is slow. */
const MEASURED_FLOPS = 5e11;
const MEASURING_MILLISECONDS = 30_000;

/**
 * The plan of a training on these engines, with the time of a step where that is measured within half a minute. Throws
 * UsageError for a training that needs more memory than there is; nothing is loaded before.
 */
export async function estimate<Config extends RunConfig>(
  kind: RecipeKind<Config>,
  config: Config,
  io: Pick<RunIO, 'engine' | 'replicas' | 'signal' | 'onProgress'>,
): Promise<RunPlan & { readonly secondsPerStep?: number | undefined }> {
  const recipe = await kind.open(config, io);
  const replicas = replicasOf(io).length;
  const written = recipe.write(shareOf(config.batch, replicas));
  const { plan, step } = planned(config, recipe, written, replicas);
  requireMemory(plan, config, written.trained);
  if (plan.flopsPerStep > MEASURED_FLOPS) return plan;
  const timeout = AbortSignal.timeout(MEASURING_MILLISECONDS);
  const signal = AbortSignal.any([timeout, ...(io.signal ? [io.signal] : [])]);
  try {
    return { ...plan, secondsPerStep: await measureStep(step, written.frozen, config, { ...io, signal }) };
  } catch (error) {
    // A machine that is busy, or slower than any that was thought of.
    if (timeout.aborted && !io.signal?.aborted) return plan;
    throw error;
  }
}

/**
 * Trains, or goes on training, and writes the averaged weights to `<directory>/model`. Throws UsageError for a model that is
 * larger than the memory.
 */
export async function train<Config extends RunConfig>(
  kind: RecipeKind<Config>,
  config: Config,
  io: RunIO,
): Promise<RunResult> {
  const recipe = await kind.open(config, io);
  const replicas = replicasOf(io).length;
  const written = recipe.write(shareOf(config.batch, replicas));
  const { plan, step } = planned(config, recipe, written, replicas);
  requireMemory(plan, config, written.trained);
  return inRunDirectory({ ...io, config, data: recipe.data }, async () => {
    const further = (recipe.sizes ?? []).slice(1).map((size) => {
      const { objective, trained } = recipe.write(shareOf(config.batch, replicas), size);
      return trainingProgram(objective, trained);
    });
    const parameters = initialize(written.trained, randomStream(config.seed, 0));
    await recipe.start?.(parameters);
    const model = new Ema(parameters, config.ema, { warmup: true });
    const averages: Record<string, Ema> = { ema: model };
    const feeds: Record<string, HostTensor> = {};
    for (const [name, { decay, fedAs }] of Object.entries(recipe.averages ?? {})) {
      averages[name] = new Ema(parameters, decay);
      Object.assign(feeds, averages[name].parameters.tensors(fedAs));
    }
    const batches = await written.open(io);
    try {
      const result = await runSteps(config, io, {
        name: kind.name,
        plan,
        steps: [step, ...further],
        weights: written.frozen,
        parameters,
        averages,
        feeds,
        batch: (at) => batches.batch(at),
        validation: batches.validation && { ...batches.validation, model: model.parameters },
        writeModel: (directory) => recipe.writeModel(directory, model.parameters, io),
        sheet: recipe.sheet,
      });
      if (result.completed) await recipe.finish?.(result.modelDirectory, io);
      return result;
    } finally {
      await batches.close?.();
    }
  });
}

function planned(config: RunConfig, recipe: Recipe, written: WrittenStep, replicas: number) {
  const step = trainingProgram(written.objective, written.trained);
  const flopsPerStep = config.accumulate * replicas * countFlops(step);
  const plan: RunPlan = {
    config,
    parameters: written.counts,
    flopsPerStep,
    flopsPerPicture: flopsPerStep / (config.accumulate * config.batch),
    ...spaceOf(config, recipe, written, step, replicas),
  };
  return { plan, step };
}
