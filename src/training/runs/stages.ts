/**
 * The whole way from pictures to a latent consistency model: autoencoder, diffusion, distillation, each a run of its own
 * in a folder, which goes on where it stopped. How long each takes is said by a preset, or follows from the time there is.
 */
import { join } from 'node:path';
import type { Engine } from '../../engines/engine.ts';
import { formatJson } from '../../files/format-json.ts';
import { isJsonObject, type JsonObject, parseJsonObject } from '../../files/json.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { RUN_MODEL } from '../../weights/node/run-folder.ts';
import type { TrainingEvent } from '../loop/events.ts';
import type { RunConfig } from './config.ts';
import { consistencyTraining } from './distill.ts';
import { estimate, type RecipeKind, train } from './recipe.ts';
import type { RunIO, Sample } from './run.ts';
import { overlay } from './settings.ts';
import { autoencoderTraining } from './train-autoencoder.ts';
import { diffusionTraining } from './train-diffusion.ts';

export const stageNames = ['autoencoder', 'diffusion', 'consistency'] as const;
export type StageName = (typeof stageNames)[number];

/** How large the networks are, and how many updates each stage makes where no time is given. */
export interface StagesPreset {
  readonly words: string;
  readonly steps: Readonly<Record<StageName, number>>;
  /** Settings of the diffusion training. */
  readonly diffusion: JsonObject;
}

/** At 64×64 pixels; the times are those of two cores with AVX2. */
export const stagesPresets = {
  tiny: {
    words: 'shapes and colours, in about half an hour: to see whether it is going to work',
    steps: { autoencoder: 400, diffusion: 1200, consistency: 300 },
    diffusion: {
      unet: {
        block_out_channels: [32, 64, 96],
        attention_head_dim: [1, 2, 3],
        cross_attention_dim: 64,
      },
      textEncoder: {
        hidden_size: 64,
        intermediate_size: 256,
        projection_dim: 64,
        num_hidden_layers: 2,
        num_attention_heads: 2,
      },
    },
  },
  small: {
    words: 'the networks and the updates of the embedded model, in about five hours',
    steps: { autoencoder: 1778, diffusion: 10_000, consistency: 1680 },
    diffusion: {},
  },
} as const satisfies Readonly<Record<string, StagesPreset>>;

export type StagesPresetName = keyof typeof stagesPresets;

/** Of the time that there is. */
const SHARES: Readonly<Record<StageName, number>> = { autoencoder: 0.25, diffusion: 0.5, consistency: 0.25 };

export interface StagesOptions {
  /** `data` of the settings. */
  readonly data: JsonObject;
  readonly directory: string;
  readonly preset: StagesPresetName;
  /** For all stages together, in place of the preset's updates. */
  readonly minutes?: number | undefined;
  readonly seed: number;
  readonly batch: number;
  readonly engine: Engine;
  readonly replicas: readonly Engine[];
  readonly signal?: AbortSignal | undefined;
  readonly onStage: (stage: StageName, steps: number) => void;
  readonly onProgress: (stage: StageName, event: TrainingEvent) => void;
  readonly onSample: (stage: StageName, sample: Sample) => Promise<void>;
}

/** What `stages.json` keeps of a stage. */
interface StageState {
  /** Decided when it begins. */
  readonly steps: number;
  /** That it took until now. */
  readonly seconds: number;
  readonly isDone: boolean;
}

/** Where the models are that the stages made; fewer when the signal ended one of them. */
export type StageModels = Partial<Record<StageName, string>>;

/** Goes the whole way, or on from where it stopped. */
export async function trainStages(options: StagesOptions): Promise<StageModels> {
  const { directory, data, preset, seed, batch } = options;
  const models: StageModels = {};
  const common = { data, seed, batch };
  const way: readonly (() => Promise<boolean>)[] = [
    () => stage('autoencoder', autoencoderTraining, common),
    () =>
      stage('diffusion', diffusionTraining, {
        ...common,
        ...stagesPresets[preset].diffusion,
        vae: models.autoencoder!,
      }),
    () => stage('consistency', consistencyTraining, { ...common, teacher: models.diffusion! }),
  ];
  for (const next of way) if (!(await next())) break;
  return models;

  async function stage<Config extends RunConfig>(
    name: StageName,
    kind: RecipeKind<Config>,
    settings: JsonObject,
  ): Promise<boolean> {
    const folder = join(directory, name);
    const states = await readStates(directory);
    const before = states[name];
    models[name] = join(folder, RUN_MODEL);
    if (before?.isDone) return true;
    const steps = before?.steps ?? (await stepsOf(name, kind, settings, states, options));
    const config = await kind.configure(withSteps(settings, steps));
    options.onStage(name, steps);
    const begun = performance.now();
    const save = (isDone: boolean) => {
      const seconds = (before?.seconds ?? 0) + (performance.now() - begun) / 1000;
      return writeStates(directory, { ...states, [name]: { steps, seconds, isDone } });
    };
    await save(false);
    const io: RunIO = {
      engine: options.engine,
      replicas: options.replicas,
      directory: folder,
      onProgress: (event) => options.onProgress(name, event),
      onSample: (sample) => options.onSample(name, sample),
      ...(options.signal && { signal: options.signal }),
    };
    const { completed } = await train(kind, config, io);
    await save(completed);
    return completed;
  }
}

/** A short training warms up for a tenth of it, and shows what it has learned when it ends. */
function withSteps(settings: JsonObject, steps: number): JsonObject {
  return overlay(settings, {
    steps,
    cadence: { sampleEvery: steps, logEvery: Math.max(1, Math.min(20, Math.floor(steps / 5))) },
    optimizer: { schedule: { warmupSteps: Math.min(100, Math.ceil(steps / 10)) } },
  });
}

/** As the preset says; with a time as many as fit into the stage's share of what is left of it. */
async function stepsOf<Config extends RunConfig>(
  name: StageName,
  kind: RecipeKind<Config>,
  settings: JsonObject,
  states: Readonly<Partial<Record<StageName, StageState>>>,
  { preset, minutes, engine, replicas, signal }: StagesOptions,
): Promise<number> {
  if (minutes === undefined) return stagesPresets[preset].steps[name];
  const spent = Object.values(states).reduce((sum, { seconds }) => sum + seconds, 0);
  const leftAtFirst = 60 * minutes - spent;
  if (leftAtFirst <= 0) return 1;
  const begun = performance.now();
  const config = await kind.configure(withSteps(settings, 1));
  const { secondsPerStep = UNMEASURED_SECONDS } = await estimate(kind, config, {
    engine,
    replicas,
    ...(signal && { signal }),
  });
  const left = leftAtFirst - (performance.now() - begun) / 1000;
  const still = stageNames.slice(stageNames.indexOf(name));
  const share = SHARES[name] / still.reduce((sum, each) => sum + SHARES[each], 0);
  return Math.max(1, Math.floor((share * left) / (OVERHEAD * secondsPerStep)));
}

/** Of a step that could not be measured within half a minute. */
const UNMEASURED_SECONDS = 15;

/** Of what a step takes beside its gradients: pictures, the update, checkpoints, and compiling it once more. */
const OVERHEAD = 1.25;

const STATES = 'stages.json';

async function readStates(directory: string): Promise<Partial<Record<StageName, StageState>>> {
  const path = join(directory, STATES);
  const text = await readTextIfThere(path);
  const stored = text === undefined ? {} : parseJsonObject(text, path);
  return Object.fromEntries(
    stageNames.flatMap((name) => {
      const { steps, seconds, isDone } = isJsonObject(stored[name]) ? stored[name] : {};
      return typeof steps === 'number' && typeof seconds === 'number'
        ? [[name, { steps, seconds, isDone: isDone === true }]]
        : [];
    }),
  );
}

function writeStates(directory: string, states: object): Promise<void> {
  return writeFileAtomically(join(directory, STATES), [formatJson(states as JsonObject)]);
}
