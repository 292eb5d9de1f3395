/**
 * Consistency training where the answer is known: data from N(0.3, 0.5²), whose probability flow has a closed form. A
 * small network learns it with the product's pairs, boundary, distance and optimiser.
 */
import { karrasBoundary } from '../../src/diffusion/affine.ts';
import type { Engine } from '../../src/engines/engine.ts';
import { float32Data, hostTensor } from '../../src/graph/host-tensor.ts';
import * as op from '../../src/graph/operators/index.ts';
import { program } from '../../src/graph/program.ts';
import { input } from '../../src/graph/tensor.ts';
import { linear } from '../../src/layers/linear.ts';
import { DeclaredParams, type Params } from '../../src/layers/params.ts';
import { randomStream } from '../../src/training/data/random-stream.ts';
import { type ConsistencyDraw, consistencyLoss } from '../../src/training/objectives/consistency.ts';
import type { Denoiser } from '../../src/training/objectives/diffusion.ts';
import { Leaves } from '../../src/training/objectives/leaves.ts';
import { trainingProgram } from '../../src/training/objectives/objective.ts';
import { improvedPairs, type SigmaLevels, tuningPairs } from '../../src/training/objectives/sigma-pairs.ts';
import type { TimePairs } from '../../src/training/objectives/time-pairs.ts';
import { pseudoHuberOf } from '../../src/training/runs/consistency-pairs.ts';
import { compileShares } from '../../src/training/update/data-parallel.ts';
import { Ema } from '../../src/training/update/ema.ts';
import { type FlatParameters, initialize } from '../../src/training/update/flat-parameters.ts';
import { AdamW } from '../../src/training/update/optimizer.ts';
import { hostStepper } from '../../src/training/update/stepper.ts';

const MEAN = 0.3;
const DEVIATION = 0.5;
const SIGMA_DATA = 0.5;
const BATCH = 512;

/** The levels themselves: x = x_0 + σ ε, and the network is told σ. */
export const gaussianLevels: SigmaLevels = {
  min: 0.002,
  max: 80,
  // The network is told of no less than the least.
  at: (sigma) => ({ t: Math.max(sigma, 0.002), alpha: 1, sigma }),
  fifth: ({ sigma }) => 1 + Math.min(4, Math.floor(Math.log(sigma / 0.002 + 1) / 2.2)),
};
const boundary = karrasBoundary(gaussianLevels.min, SIGMA_DATA);

/** f(x, σ → σ_min): the flow keeps (x − m) / √(s² + σ²). */
export function exactFunction(x: number, sigma: number): number {
  const spread = (level: number) => Math.hypot(DEVIATION, level);
  return MEAN + ((x - MEAN) * spread(gaussianLevels.min)) / spread(sigma);
}

/** Karras et al.'s x̂_0 from a network of two hidden layers; x [B, 1, 1, 1], σ [B]. */
function denoiser(p: Params): Denoiser {
  return (x, timesteps) => {
    const batch = x.shape[0]!;
    const sigma = op.reshape(timesteps, [batch, 1]);
    const column = op.reshape(x, [batch, 1]);
    const total = op.add(op.square(sigma), SIGMA_DATA ** 2);
    const seen = op.divide(column, op.sqrt(total));
    const noise = op.multiply(op.log(sigma), 0.25);
    let h = op.tanh(linear(p.in('in'), op.concat([seen, noise], 1), 48));
    h = op.tanh(linear(p.in('hidden'), h, 48));
    const kept = op.multiply(op.divide(SIGMA_DATA ** 2, total), column);
    const learned = op.multiply(
      op.divide(op.multiply(sigma, SIGMA_DATA), op.sqrt(total)),
      linear(p.in('out'), h, 1),
    );
    return op.reshape(op.add(kept, learned), x.shape);
  };
}

export type Kind = 'diffusion' | 'ect' | 'ict';

/** A trained consistency function: x, all at one σ → f. */
export type Learned = (x: readonly number[], sigma: number) => Promise<number[]>;

/** ECT begins as the diffusion model, for which it is a gap of all there is, down to clean data. */
export async function trainOnGaussian(engine: Engine, kind: Kind, steps: number): Promise<Learned> {
  const density = { mean: -1.1, deviation: 2 };
  const tuning = { density, steps, pureNoise: 0 };
  const diffusion = tuningPairs(gaussianLevels, { ...tuning, stages: 1, ratio: 1 });
  const phases: Readonly<Record<Kind, readonly TimePairs[]>> = {
    diffusion: [diffusion],
    ect: [diffusion, tuningPairs(gaussianLevels, { ...tuning, stages: 8, ratio: 2 })],
    ict: [improvedPairs(gaussianLevels, { ...tuning, intervals: { first: 10, last: 1280 } })],
  };
  const declared = new DeclaredParams();
  const leaves = new Leaves<ConsistencyDraw>(BATCH);
  const shape = [BATCH, 1, 1, 1];
  const model = denoiser(declared.params);
  const objective = consistencyLoss(
    { student: model, target: model },
    { states: input('states', [BATCH, 1, 1]) },
    { shape, predictionType: 'sample', boundary, distance: { kind: 'huber-sample', c: pseudoHuberOf(1) } },
    leaves,
  );
  const parameters = initialize(declared.declarations, randomStream(7, 0));
  const average = new Ema(parameters, 0.99, { warmup: true });
  const step = await compileShares([engine], trainingProgram(objective, declared.declarations), {});
  for (const [phase, pairs] of phases[kind].entries()) {
    const optimizer = new AdamW(parameters, {
      betas: [0.9, 0.99],
      epsilon: 1e-8,
      weightDecay: 0,
      averages: [average],
    });
    const stepper = hostStepper({
      program: step,
      parameters,
      optimizer,
      averages: { average },
      maxGradientNorm: 10,
    });
    for (let at = 0; at < steps; at++) {
      const random = randomStream(7, 1 + phase, at);
      const data = random.normal(BATCH).map((value) => MEAN + DEVIATION * value);
      const drawn: ConsistencyDraw = {
        latents: hostTensor(data, shape),
        noise: hostTensor(random.normal(BATCH), shape),
        pairs: pairs.draw(random, BATCH, at),
        guidance: [],
      };
      // Half a cosine, from the whole rate to none.
      const rate = 0.003 * (1 + Math.cos((Math.PI * at) / steps));
      await stepper.step({ inputs: leaves.inputs(drawn), images: BATCH }, rate);
    }
  }
  await step.dispose();
  return (x, sigma) => evaluate(engine, average.parameters, x, sigma);
}

async function evaluate(
  engine: Engine,
  parameters: FlatParameters,
  x: readonly number[],
  sigma: number,
): Promise<number[]> {
  const declared = new DeclaredParams();
  const shape = [x.length, 1, 1, 1];
  const output = denoiser(declared.params)(input('x', shape), input('sigma', [x.length]), input('s', [1]));
  const executable = await engine.compile(program({ output }));
  const results = await executable.run({
    ...parameters.tensors(),
    x: hostTensor(Float32Array.from(x), shape),
    sigma: hostTensor(new Float32Array(x.length).fill(sigma), [x.length]),
  });
  await executable.dispose();
  const { skip, out } = boundary(gaussianLevels.at(sigma));
  const denoised = float32Data(results.output!);
  return x.map((value, i) => skip * value + out * denoised[i]!);
}

/** Where the trajectory that ends at mean + `deviations` · deviation is at σ. */
export function trajectory(deviations: number, sigma: number): number {
  return MEAN + deviations * Math.hypot(DEVIATION, sigma);
}
