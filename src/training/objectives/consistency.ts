/**
 * Consistency training (Song et al. 2023; for latents Luo et al. 2023, algorithm 1): the student's f at a noisier level
 * is drawn to the target's f at a less noisy one of the same trajectory. Its relatives differ in arguments only:
 *
 * | | student | pairs (`time-pairs`, `sigma-pairs`) | step back | target |
 * |---|---|---|---|---|
 * | distillation (Luo et al. 2023) | all weights, guidance embedding | skipping grid | guided teacher | average, or itself |
 * | LCM-LoRA (Luo et al. 2023b) | low-rank additions | skipping grid | guided teacher | itself |
 * | fine-tuning (Luo et al. 2023, section 4.4) | a latent consistency model goes on | skipping grid | data | average |
 * | iCT (Song and Dhariwal 2023) | all weights | Karras levels, doubling | data | itself |
 * | ECT (Geng et al. 2024) | a diffusion model goes on | any level and one below, nearer and nearer | data | itself |
 *
 * What a network predicts, the boundary scaling and the solver are numbers per sample (`diffusion/affine`): the graph
 * holds sums of samples and outputs, and knows none of them.
 */
import {
  type Affine,
  type Boundary,
  consistencyOf,
  type Level,
  type Solver,
} from '../../diffusion/affine.ts';
import type { PredictionType } from '../../diffusion/prediction.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import {
  abs,
  add,
  concat,
  expandTo,
  multiply,
  reduceMean,
  reduceSum,
  split,
  sqrt,
  square,
  stopGradient,
  subtract,
} from '../../graph/operators/index.ts';
import type { Shape } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { AddedTensors, Denoiser } from './diffusion.ts';
import type { Leaves } from './leaves.ts';
import type { Objective } from './objective.ts';
import type { TimePair } from './time-pairs.ts';

export interface GuidedTeacher {
  readonly model: Denoiser;
  /** Of the empty caption: states [1, L, D], and for Stable Diffusion XL pooled [1, P]. */
  readonly unconditional: { readonly states: Tensor; readonly pooled?: Tensor | undefined };
  readonly solver: Solver;
  /** Steps of the solver from `start` to `end`. */
  readonly substeps: number;
}

export interface ConsistencyModels {
  readonly student: Denoiser;
  /** The average of the student, or the student itself. */
  readonly target: Denoiser;
  /** Without a teacher the step back is taken along the data's own noise. */
  readonly teacher?: GuidedTeacher | undefined;
}

/**
 * d(x, y), averaged over samples: `l2`, d²; `l1`, |d|; `huber`, √(d² + c²) − c, each as the mean over elements; and
 * `huber-sample`, the pseudo-Huber distance of whole samples, √(‖d‖² + c²) − c (Song and Dhariwal 2023,
 * section 3.3, which takes c = 0.00054 √D for samples with D elements).
 */
export type ConsistencyDistance =
  | { readonly kind: 'l2' }
  | { readonly kind: 'l1' }
  | { readonly kind: 'huber'; readonly c: number }
  | { readonly kind: 'huber-sample'; readonly c: number };

export interface ConsistencyOptions {
  /** Of latents, [B, C, h, w], B the share of a batch that the graph sees. */
  readonly shape: Shape;
  readonly predictionType: PredictionType;
  readonly boundary: Boundary;
  readonly distance: ConsistencyDistance;
}

/** What is drawn for a batch, any number of shares. */
export interface ConsistencyDraw {
  readonly pairs: readonly TimePair[];
  /** Clean latents and standard normal noise, [B, C, h, w]. */
  readonly latents: HostTensor;
  readonly noise: HostTensor;
  /** w of each sample in ε̂ = ε̂_c + w (ε̂_c − ε̂_u): the guidance scale less one. Not looked at without a teacher. */
  readonly guidance: readonly number[];
}

/** What the networks are told beside sample and time. */
export interface ConsistencyConditioning {
  /** Caption states, [B, L, D]. */
  readonly states: Tensor;
  /** The guidance strength embedded, [B, E], for students that have an input for it. */
  readonly guidanceEmbedding?: Tensor | undefined;
  /** For Stable Diffusion XL. */
  readonly added?: AddedTensors | undefined;
}

/** Writes the loss of a consistency step, and declares the leaves that it needs. */
export function consistencyLoss<Drawn extends ConsistencyDraw>(
  { student, target, teacher }: ConsistencyModels,
  { states, guidanceEmbedding, added }: ConsistencyConditioning,
  { shape, predictionType, boundary, distance }: ConsistencyOptions,
  leaves: Leaves<Drawn>,
): Objective {
  const latents = leaves.tensor('latents', shape, (drawn) => drawn.latents);
  const noise = leaves.tensor('noise', shape, (drawn) => drawn.noise);
  /** scale(level) for each sample. */
  const factor = (name: string, of: (pair: TimePair) => number) =>
    leaves.perSample(name, ({ pairs }) => pairs.map(of));
  const noisedAt = (name: 'start' | 'end', of: (pair: TimePair) => Pick<Level, 'alpha' | 'sigma'>) =>
    add(
      multiply(
        factor(`${name}_alpha`, (pair) => of(pair).alpha),
        latents,
      ),
      multiply(
        factor(`${name}_sigma`, (pair) => of(pair).sigma),
        noise,
      ),
    );
  const consistency = (model: Denoiser, sample: Tensor, name: 'start' | 'end') => {
    const timesteps = leaves.vector(`${name}_timesteps`, ({ pairs }) => pairs.map((pair) => pair[name].t));
    const f = (pair: TimePair) => consistencyOf(predictionType, boundary, pair[name]);
    const output = model(sample, timesteps, states, guidanceEmbedding, added);
    return affineSum(leaves, `${name}_f`, f, sample, [output]);
  };

  const noised = noisedAt('start', ({ start, pureNoise }) => (pureNoise ? { alpha: 0, sigma: 1 } : start));
  const previous = stopGradient(
    teacher
      ? guidedSteps(teacher, noised, { states, added }, predictionType, leaves)
      : noisedAt('end', ({ end }) => end),
  );
  const prediction = consistency(student, noised, 'start');
  const goal = stopGradient(consistency(target, previous, 'end'));
  const sampleLoss = measure(subtract(prediction, goal), distance);
  const weights = leaves.vector('weights', ({ pairs }) => pairs.map(({ weight }) => weight));
  const loss = reduceMean(multiply(sampleLoss, weights));
  return { loss, sampleLoss, intermediates: { noised, previous, prediction, goal } };
}

/**
 * The teacher's steps from `start` to `end`. Guidance is applied to the network's output: x̂_0 and ε̂ are affine in it,
 * so this equals guiding each of them.
 */
function guidedSteps<Drawn extends ConsistencyDraw>(
  { model, unconditional, solver, substeps }: GuidedTeacher,
  start: Tensor,
  { states, added }: Pick<ConsistencyConditioning, 'states' | 'added'>,
  type: PredictionType,
  leaves: Leaves<Drawn>,
): Tensor {
  const batch = start.shape[0]!;
  const withEmpty = (captions: Tensor, empty: Tensor) =>
    concat([captions, expandTo(empty, captions.shape)], 0);
  const both = withEmpty(states, unconditional.states);
  const bothAdded = added && {
    textEmbeds: withEmpty(added.textEmbeds, unconditional.pooled!),
    timeIds: concat([added.timeIds, added.timeIds], 0),
  };
  const guidance = leaves.perSample('guidance', (drawn) => drawn.guidance);
  const guided = (sample: Tensor, timesteps: Tensor): Tensor => {
    const twice = (x: Tensor) => concat([x, x], 0);
    const outputs = model(twice(sample), twice(timesteps), both, undefined, bothAdded);
    const [conditional, empty] = split(outputs, [batch, batch], 0) as [Tensor, Tensor];
    return add(conditional, multiply(guidance, subtract(conditional, empty)));
  };
  let x = start;
  for (let step = 0; step < substeps; step++) {
    const name = substeps === 1 ? 'teacher' : `teacher_${step}`;
    const solved = ({ start, between, end }: TimePair) => {
      const levels = [start, ...between, end];
      return solver.step(type, levels[step]!, levels[step + 1]!);
    };
    const outputs: Tensor[] = [];
    for (let pass = 0; pass < solver.passes; pass++) {
      const seen = (pair: TimePair) => solved(pair).passes[pass]!;
      // The first pass sees the sample as it is.
      const sample =
        pass === 0 ? x : affineSum(leaves, `${name}_input_${pass}`, (pair) => seen(pair).input, x, outputs);
      const at = leaves.vector(`${name}_timesteps_${pass}`, ({ pairs }) =>
        pairs.map((pair) => seen(pair).at.t),
      );
      outputs.push(guided(sample, at));
    }
    x = affineSum(leaves, `${name}_result`, (pair) => solved(pair).result, x, outputs);
  }
  return x;
}

/** a·x + Σ bᵢ·outputᵢ with the numbers of each sample as leaves. */
function affineSum<Drawn extends ConsistencyDraw>(
  leaves: Leaves<Drawn>,
  name: string,
  of: (pair: TimePair) => Affine,
  x: Tensor,
  outputs: readonly Tensor[],
): Tensor {
  const factor = (part: string, value: (affine: Affine) => number) =>
    leaves.perSample(`${name}_${part}`, ({ pairs }) => pairs.map((pair) => value(of(pair))));
  return outputs.reduce(
    (sum, output, i) =>
      add(
        sum,
        multiply(
          factor(`output_${i}`, ({ outputs }) => outputs[i]!),
          output,
        ),
      ),
    multiply(
      factor('sample', ({ sample }) => sample),
      x,
    ),
  );
}

/** The distance of each sample, [B]. */
function measure(difference: Tensor, distance: ConsistencyDistance): Tensor {
  const squares = square(difference);
  switch (distance.kind) {
    case 'l2':
      return reduceMean(squares, [1, 2, 3]);
    case 'l1':
      return reduceMean(abs(difference), [1, 2, 3]);
    case 'huber':
      return reduceMean(subtract(sqrt(add(squares, distance.c ** 2)), distance.c), [1, 2, 3]);
    case 'huber-sample':
      return subtract(sqrt(add(reduceSum(squares, [1, 2, 3]), distance.c ** 2)), distance.c);
  }
}
