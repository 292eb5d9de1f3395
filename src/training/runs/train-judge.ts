/** Training the judge that evaluation relies on: a classifier of real postcards. */
import { createContext } from '../../datasets/node/canvas.ts';
import type { Canvas2D } from '../../datasets/postcards/canvas2d.ts';
import { type Postcard, postcard } from '../../datasets/postcards/postcards.ts';
import { renderTensor } from '../../datasets/postcards/render.ts';
import { JUDGE_CLASSES } from '../../evaluation/judge.ts';
import { describeAccuracy, judgeAccuracy } from '../../evaluation/judge-accuracy.ts';
import { openJudge, writeJudge } from '../../evaluation/node/judge-files.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { DeclaredParams } from '../../layers/params.ts';
import { augment } from '../data/augmentation.ts';
import { randomStream } from '../data/random-stream.ts';
import { judgeObjective } from '../objectives/judge.ts';
import { Leaves } from '../objectives/leaves.ts';
import { answerTargets } from './answer-targets.ts';
import { withEpochs } from './epochs.ts';
import { type JudgeRunConfig, judgeRunConfig } from './judge-config.ts';
import type { RecipeKind } from './recipe.ts';
import type { RunIO } from './run.ts';

/** `lcm train judge`: pictures are drawn as they are needed. */
export const judgeTraining: RecipeKind<JudgeRunConfig> = {
  name: 'judge',
  configure: (given) => withEpochs(judgeRunConfig(given)),
  async open(config) {
    const size = config.model.sample_size;
    const context = createContext(size, size);
    return {
      data: {},
      write(share) {
        const declared = new DeclaredParams();
        const leaves = new Leaves<JudgeDraw>(share);
        const objective = judgeObjective(config.model, declared.params, {
          pictures: leaves.tensor('pictures', [share, 3, size, size], ({ pictures }) => pictures),
          targets: leaves.tensor('targets', [share, JUDGE_CLASSES], ({ targets }) => targets),
        });
        return {
          objective,
          trained: declared.declarations,
          counts: { judge: declared.count },
          open: async () => ({
            batch: async (at) => ({ inputs: leaves.inputs(draw(config, context, at)), images: config.batch }),
          }),
        };
      },
      writeModel: (directory, model) =>
        writeJudge(directory, config.model, new Map(Object.entries(model.tensors()))),
      finish: (directory, io) => reportAccuracy(directory, context, io),
    };
  },
};

interface JudgeDraw {
  /** [B, 3, H, W]. */
  readonly pictures: HostTensor;
  /** [B, JUDGE_CLASSES], a 1 at each head's answer. */
  readonly targets: HostTensor;
}

/** Batch `at`: some pictures of the held-out combinations, then those of training. */
function draw(
  { batch, data, heldOut, augmentation, seed, model }: JudgeRunConfig,
  context: Canvas2D,
  at: number,
): JudgeDraw {
  const size = model.sample_size;
  const unusual = Math.round(heldOut * batch);
  const cards = Array.from({ length: batch }, (_, i): Postcard => {
    const split = i < unusual ? 'heldout' : 'train';
    // Far from the pictures that evaluation uses, which are the first of their splits.
    return postcard(JUDGE_FIRST_INDEX + at * batch + i, { split, seed: data.seed, size });
  });
  const pictures = renderTensor(context, cards);
  augment(pictures, { height: size, width: size }, augmentation, randomStream(seed, 1, at));
  return {
    pictures: hostTensor(pictures, [batch, 3, size, size]),
    targets: hostTensor(answerTargets(cards), [batch, JUDGE_CLASSES]),
  };
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
