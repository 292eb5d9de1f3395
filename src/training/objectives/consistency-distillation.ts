/**
 * Latent consistency distillation (Luo et al. 2023, algorithm 1) and its relatives. They differ in their arguments:
 *
 * | | student | target | step back from z_t |
 * |---|---|---|---|
 * | distillation | all weights, guidance embedding | its average | guided teacher, one DDIM step |
 * | LCM-LoRA | low-rank additions | itself, no gradient | guided teacher, one DDIM step |
 * | consistency training | all weights | its average | the data: the same noise at the earlier time |
 *
 * Schedule values come in as numbers per sample, computed in float64 on the host: the network sees only timesteps.
 */
import {
  add,
  concat,
  divide,
  expandTo,
  multiply,
  reduceMean,
  split,
  sqrt,
  square,
  stopGradient,
  subtract,
} from '../../graph/operators/index.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Objective } from '../objective.ts';
import type { Denoiser, PredictionType } from './diffusion.ts';

/** A point of the skipping grid for each sample: the timestep and what the schedule holds there. */
export interface GridPoint {
  /** float32 [B]. */
  readonly timesteps: Tensor;
  /** √ᾱ and √(1 − ᾱ), [B, 1, 1, 1]. */
  readonly alpha: Tensor;
  readonly sigma: Tensor;
  /** Boundary scalings of the consistency function, [B, 1, 1, 1]. */
  readonly skip: Tensor;
  readonly out: Tensor;
}

export interface ConsistencyBatch {
  /** Clean latents, [B, C, h, w]. */
  readonly latents: Tensor;
  /** Standard normal, [B, C, h, w]. */
  readonly noise: Tensor;
  /** What makes z_t of latents and noise: √ᾱ and √(1 − ᾱ) at `start`, or 0 and 1 for samples of pure noise. */
  readonly latentScale: Tensor;
  readonly noiseScale: Tensor;
  /** t_{n+k}, where the student stands. */
  readonly start: GridPoint;
  /** t_n, one step of the grid closer to the data. */
  readonly end: GridPoint;
  /** Caption states, [B, L, D]. */
  readonly states: Tensor;
  /** The guidance strength embedded, [B, E], for students that have an input for it. */
  readonly guidanceEmbedding?: Tensor;
}

export interface GuidedTeacher {
  readonly model: Denoiser;
  /** States of the empty caption, [1, L, D]. */
  readonly unconditionalStates: Tensor;
  /** w of x̂ = x̂_c + w (x̂_c − x̂_u), which is the guidance scale less one, [B, 1, 1, 1]. */
  readonly guidance: Tensor;
}

export type ConsistencyDistance = { readonly kind: 'huber'; readonly c: number } | { readonly kind: 'l2' };

export interface ConsistencyModels {
  readonly student: Denoiser;
  /** The average of the student, or the student itself. */
  readonly target: Denoiser;
  /** Without a teacher the step back is taken along the data's own noise (consistency training). */
  readonly teacher?: GuidedTeacher;
  readonly predictionType: PredictionType;
}

/** One step of consistency distillation. */
export function consistencyLoss(
  { student, target, teacher, predictionType }: ConsistencyModels,
  batch: ConsistencyBatch,
  distance: ConsistencyDistance,
): Objective {
  const { latents, noise, start, end, states, guidanceEmbedding } = batch;
  const consistency = (model: Denoiser, sample: Tensor, at: GridPoint) =>
    consistencyFunction(model(sample, at.timesteps, states, guidanceEmbedding), sample, at, predictionType);

  const noised = add(multiply(batch.latentScale, latents), multiply(batch.noiseScale, noise)); // z_{t_{n+k}}
  const previous = stopGradient(
    teacher
      ? guidedStep(teacher, noised, start, end, states, predictionType) // Ψ(z_{t_{n+k}}, t_{n+k}, t_n, ω)
      : add(multiply(end.alpha, latents), multiply(end.sigma, noise)),
  );
  const prediction = consistency(student, noised, start);
  const goal = stopGradient(consistency(target, previous, end));
  const difference = subtract(prediction, goal);
  const sampleLoss = reduceMean(measure(difference, distance), [1, 2, 3]);
  return { loss: reduceMean(sampleLoss), sampleLoss, intermediates: { noised, previous, prediction, goal } };
}

/** f(z, t) = c_skip z + c_out ẑ₀ (Luo et al. 2023, equation 9). */
function consistencyFunction(
  output: Tensor,
  sample: Tensor,
  at: GridPoint,
  predictionType: PredictionType,
): Tensor {
  return add(
    multiply(at.skip, sample),
    multiply(at.out, predictedLatents(output, sample, at, predictionType)),
  );
}

/**
 * One DDIM step of the guided teacher from `start` to `end` (Song et al. 2020, equation 12 with σ = 0). Guidance is
 * applied to the network's output: ẑ₀ and ε̂ are affine in it, so this equals guiding each of them.
 */
function guidedStep(
  teacher: GuidedTeacher,
  sample: Tensor,
  start: GridPoint,
  end: GridPoint,
  states: Tensor,
  predictionType: PredictionType,
): Tensor {
  const batch = sample.shape[0]!;
  const unconditionalStates = expandTo(teacher.unconditionalStates, states.shape);
  const outputs = teacher.model(
    concat([sample, sample], 0),
    concat([start.timesteps, start.timesteps], 0),
    concat([states, unconditionalStates], 0),
  );
  const [conditional, unconditional] = split(outputs, [batch, batch], 0) as [Tensor, Tensor];
  const output = add(conditional, multiply(teacher.guidance, subtract(conditional, unconditional)));
  return add(
    multiply(end.alpha, predictedLatents(output, sample, start, predictionType)),
    multiply(end.sigma, predictedNoise(output, sample, start, predictionType)),
  );
}

/** ẑ₀: (z − σε)/α, or αz − σv. */
function predictedLatents(output: Tensor, sample: Tensor, at: GridPoint, type: PredictionType): Tensor {
  if (type === 'epsilon') return divide(subtract(sample, multiply(at.sigma, output)), at.alpha);
  return subtract(multiply(at.alpha, sample), multiply(at.sigma, output));
}

/** ε̂: the output itself, or αv + σz. */
function predictedNoise(output: Tensor, sample: Tensor, at: GridPoint, type: PredictionType): Tensor {
  if (type === 'epsilon') return output;
  return add(multiply(at.alpha, output), multiply(at.sigma, sample));
}

/** d², or the pseudo-Huber √(d² + c²) − c of every element (Song and Dhariwal 2023, section 3.3, per element). */
function measure(difference: Tensor, distance: ConsistencyDistance): Tensor {
  if (distance.kind === 'l2') return square(difference);
  return subtract(sqrt(add(square(difference), distance.c ** 2)), distance.c);
}
