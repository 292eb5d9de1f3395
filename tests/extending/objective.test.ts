/**
 * A training that the product does not have, by adding this file only: a velocity field that carries noise to data in
 * straight lines (flow matching; Lipman et al. 2022, Liu et al. 2022), here of single numbers from N(3, 0.5²).
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import {
  DeclaredParams,
  float32Data,
  type HostTensor,
  hostTensor,
  input,
  linear,
  op,
  type Params,
  program,
  type Tensor,
} from '../../src/graph.ts';
import { createNodeEngine } from '../../src/index.ts';
import {
  group,
  Leaves,
  type Objective,
  type RecipeKind,
  type RunConfig,
  randomStream,
  readSettings,
  runSettings,
  type TrainingEvent,
  train,
} from '../../src/training.ts';

/** v(x, t): [B, 1], [B, 1] → [B, 1]. */
function velocity(p: Params, x: Tensor, t: Tensor): Tensor {
  const h = op.tanh(linear(p.in('in'), op.concat([x, t], 1), 24));
  return linear(p.in('out'), op.tanh(linear(p.in('hidden'), h, 24)), 1);
}

/** E ‖v((1 − t)·ε + t·x, t) − (x − ε)‖². */
function flowMatchingLoss(p: Params, data: Tensor, noise: Tensor, t: Tensor): Objective {
  const x = op.add(op.multiply(op.subtract(1, t), noise), op.multiply(t, data));
  const error = op.subtract(velocity(p, x, t), op.subtract(data, noise));
  return { loss: op.reduceMean(op.square(error)) };
}

interface Draw {
  readonly data: HostTensor;
  readonly noise: HostTensor;
  readonly t: HostTensor;
}

const settings = group('Flow matching.', {
  ...runSettings({
    steps: 300,
    learningRate: 0.01,
    warmupSteps: 0,
    constantUntil: 1,
    finalFactor: 1,
    weightDecay: 0,
    ema: 0.995,
  }),
});

let learned: Readonly<Record<string, HostTensor>> = {};

const flowMatching: RecipeKind<RunConfig> = {
  name: 'flow matching',
  configure: async (given) => readSettings(settings, given),
  open: async (config) => ({
    data: { numbers: 'N(3, 0.25)' },
    write(share) {
      const declared = new DeclaredParams();
      const leaves = new Leaves<Draw>(share);
      const leaf = (name: keyof Draw) => leaves.tensor(name, [share, 1], (drawn) => drawn[name]);
      return {
        objective: flowMatchingLoss(declared.params, leaf('data'), leaf('noise'), leaf('t')),
        trained: declared.declarations,
        counts: { velocity: declared.count },
        open: async () => ({
          async batch(step) {
            const random = randomStream(config.seed, 1, step);
            const column = (values: Float32Array) => hostTensor(values, [config.batch, 1]);
            const drawn = {
              data: column(random.normal(config.batch).map((value) => 3 + 0.5 * value)),
              noise: column(random.normal(config.batch)),
              t: column(Float32Array.from(random.uniform(config.batch))),
            };
            return { inputs: leaves.inputs(drawn), images: config.batch };
          },
        }),
      };
    },
    async writeModel(_, model) {
      learned = model.clone().tensors();
    },
  }),
};

it('is trained by the loop that trains everything else, and carries noise to the data', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'flow-'));
  const engine = createNodeEngine({ threads: 1 });
  const events: TrainingEvent[] = [];
  const cadence = { checkpointEverySteps: 150, sampleEvery: 0 };
  const config = await flowMatching.configure({
    batch: 256,
    cadence,
  });
  const io = { engine, directory, onProgress: (event: TrainingEvent) => events.push(event) };
  expect(await train(flowMatching, config, io)).toMatchObject({ step: 300, completed: true });
  expect(events.filter(({ type }) => type === 'checkpoint')).toHaveLength(2);

  // Twenty steps of Euler's method from noise.
  const count = 512;
  const declared = new DeclaredParams();
  const step = program({
    v: velocity(declared.params, input('x', [count, 1]), input('t', [count, 1])),
  });
  const executable = await engine.compile(step);
  let x = randomStream(5, 0).normal(count);
  for (let i = 0; i < 20; i++) {
    const t = hostTensor(new Float32Array(count).fill(i / 20), [count, 1]);
    const { v } = await executable.run({ ...learned, x: hostTensor(x, [count, 1]), t });
    x = x.map((value, n) => value + float32Data(v!)[n]! / 20);
  }
  const mean = x.reduce((sum, value) => sum + value, 0) / count;
  const deviation = Math.sqrt(x.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count);
  expect(mean).toBeGreaterThan(2.8);
  expect(mean).toBeLessThan(3.2);
  expect(deviation).toBeGreaterThan(0.3);
  expect(deviation).toBeLessThan(0.7);
  await engine.dispose();
  await rm(directory, { recursive: true });
});
