/** Training the judge that evaluation relies on: a classifier of real postcards. */
import { createContext } from '../../datasets/node/canvas.ts';
import type { Canvas2D } from '../../datasets/postcards/canvas2d.ts';
import { labelsOf } from '../../datasets/postcards/labels.ts';
import { type Postcard, postcard } from '../../datasets/postcards/postcards.ts';
import { renderTensor } from '../../datasets/postcards/render.ts';
import { HEAD_OFFSETS, JUDGE_CLASSES, JUDGE_CONFIG, type JudgeConfig } from '../../evaluation/judge.ts';
import { describeAccuracy, judgeAccuracy } from '../../evaluation/judge-accuracy.ts';
import { openJudge, writeJudge } from '../../evaluation/node/judge-files.ts';
import { countFlops } from '../../graph/flops.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { input } from '../../graph/tensor.ts';
import { DeclaredParams } from '../../layers/params.ts';
import { type Augmentation, augment } from '../augmentation.ts';
import { shareOf } from '../data-parallel.ts';
import { Ema } from '../ema.ts';
import { initialize } from '../flat-parameters.ts';
import { trainingProgram } from '../objective.ts';
import { judgeObjective } from '../objectives/judge.ts';
import { randomStream } from '../random-stream.ts';
import type { Batch } from '../trainer.ts';
import {
  defaultCadence,
  defaultData,
  type Partially,
  type PostcardsConfig,
  type RunConfig,
  withDefaults,
} from './config.ts';
import { inRunDirectory, type RunIO, type RunPlan, type RunResult, replicasOf, runSteps } from './run.ts';

export interface JudgeRunConfig extends RunConfig {
  readonly data: PostcardsConfig;
  readonly model: JudgeConfig;
  readonly augmentation: Augmentation;
  /** Share of pictures drawn from the held-out combinations, so that the judge knows them all. */
  readonly heldOut: number;
}

export const judgeDefaults: JudgeRunConfig = {
  data: defaultData,
  steps: 1400,
  batch: 32,
  seed: 0,
  optimizer: {
    learningRate: 2e-3,
    schedule: { kind: 'cosine', warmupSteps: 50, constantUntil: 0.2, finalFactor: 0.01 },
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 1e-2,
    maxGradientNorm: 5,
  },
  ema: 0.995,
  cadence: { ...defaultCadence, sampleEvery: 0 },
  model: JUDGE_CONFIG,
  augmentation: { blurProbability: 0.3, noise: 0.08, gain: 0.08 },
  heldOut: 0.1,
};

export function judgeRunConfig(given: Partially<JudgeRunConfig> = {}): JudgeRunConfig {
  return withDefaults<JudgeRunConfig>(judgeDefaults, given);
}

/** What a run with these settings would compute. */
export function planJudge(config: JudgeRunConfig): RunPlan {
  return prepare(config).plan;
}

/** Trains, or goes on training, and writes the averaged weights to `<directory>/model`. */
export async function trainJudge(config: JudgeRunConfig, io: RunIO): Promise<RunResult> {
  const prepared = prepare(config, replicasOf(io).length);
  return inRunDirectory(config, io, () => run(config, io, prepared));
}

type Prepared = ReturnType<typeof prepare>;

async function run(config: JudgeRunConfig, io: RunIO, prepared: Prepared): Promise<RunResult> {
  const { plan, declared, step } = prepared;
  const parameters = initialize(declared, randomStream(config.seed, 0));
  const average = new Ema(parameters, config.ema, { warmup: true });
  const size = config.model.sample_size;
  const context = createContext(size, size);

  const batch = async (at: number): Promise<Batch> => {
    const heldOut = Math.round(config.heldOut * config.batch);
    const cards = Array.from({ length: config.batch }, (_, i): Postcard => {
      const split = i < heldOut ? 'heldout' : 'train';
      // Far from the pictures that evaluation uses, which are the first of their splits.
      return postcard(JUDGE_FIRST_INDEX + at * config.batch + i, { split, seed: config.data.seed, size });
    });
    const pictures = renderTensor(context, cards);
    augment(pictures, { height: size, width: size }, config.augmentation, randomStream(config.seed, 1, at));
    return {
      inputs: {
        pictures: hostTensor(pictures, [config.batch, 3, size, size]),
        targets: hostTensor(oneHot(cards), [config.batch, JUDGE_CLASSES]),
      },
      images: config.batch,
    };
  };

  const averages = { ema: average };
  const writeModel = (modelDirectory: string) =>
    writeJudge(modelDirectory, config.model, new Map(Object.entries(average.parameters.tensors())));
  const result = await runSteps(config, io, {
    name: 'judge',
    plan,
    step,
    parameters,
    averages,
    batch,
    writeModel,
  });
  if (result.completed) await reportAccuracy(result.modelDirectory, context, io);
  return result;
}

/** Says how often the judge is right about real pictures. */
async function reportAccuracy(
  directory: string,
  canvas: Canvas2D,
  { engine, onProgress }: RunIO,
): Promise<void> {
  const judge = await openJudge(engine, directory);
  try {
    for (const split of ['test', 'heldout'] as const) {
      const accuracy = await judgeAccuracy(judge, canvas, { split });
      onProgress?.({ type: 'phase', message: describeAccuracy(accuracy) });
    }
  } finally {
    await judge.dispose();
  }
}

/** The judge learns from postcards from this index on. */
const JUDGE_FIRST_INDEX = 1_000_000_000;

/** The step is written for the share of the batch that each of the replicas takes. */
function prepare(config: JudgeRunConfig, replicas = 1) {
  const batch = shareOf(config.batch, replicas);
  const declared = new DeclaredParams();
  const size = config.model.sample_size;
  const objective = judgeObjective(config.model, declared.params, {
    pictures: input('pictures', [batch, 3, size, size]),
    targets: input('targets', [batch, JUDGE_CLASSES]),
  });
  const step = trainingProgram(objective, declared.declarations);
  const flopsPerStep = replicas * countFlops(step);
  const plan: RunPlan = {
    config,
    parameters: { judge: declared.count },
    flopsPerStep,
    flopsPerPicture: flopsPerStep / config.batch,
  };
  return { plan, declared: declared.declarations, step };
}

/** [N, JUDGE_CLASSES], a 1 at each head's answer. */
function oneHot(cards: readonly Postcard[]): Float32Array {
  const targets = new Float32Array(cards.length * JUDGE_CLASSES);
  cards.forEach((card, i) => {
    const labels = labelsOf(card.record);
    for (const [head, offset] of HEAD_OFFSETS) targets[i * JUDGE_CLASSES + offset + labels[head]] = 1;
  });
  return targets;
}
