/** Training a latent diffusion model: predict the noise, or the velocity, in a noised latent. */
import { add, multiply, reduceMean, square, stopGradient, subtract } from '../../graph/operators/index.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Objective } from './objective.ts';

/**
 * A denoising network: noised latents [B, C, h, w], timesteps [B], caption states [B, L, D] and, for students of
 * guided distillation, the embedded guidance strength [B, E], for Stable Diffusion XL pooled captions and sizes → the
 * prediction, [B, C, h, w].
 */
export type Denoiser = (
  sample: Tensor,
  timesteps: Tensor,
  states: Tensor,
  guidance?: Tensor,
  added?: AddedTensors,
) => Tensor;

/** What Stable Diffusion XL is told beside the caption's states. */
export interface AddedTensors {
  /** Pooled captions, [B, P]. */
  readonly textEmbeds: Tensor;
  /** Original size, corner of the crop and target size, height before width, [B, 6]. */
  readonly timeIds: Tensor;
}

export type PredictionType = 'epsilon' | 'v_prediction';

export interface DiffusionBatch {
  /** Clean latents, scaled to unit variance, [B, C, h, w]. */
  readonly latents: Tensor;
  /** Standard normal, [B, C, h, w]. */
  readonly noise: Tensor;
  /** float32 [B]. */
  readonly timesteps: Tensor;
  /** √ᾱ and √(1 − ᾱ) of each sample's timestep, [B, 1, 1, 1]. */
  readonly alpha: Tensor;
  readonly sigma: Tensor;
  /** What the loss of each sample counts, [B]; ones for the plain mean. */
  readonly weights: Tensor;
  /** Caption states, [B, L, D]. */
  readonly states: Tensor;
  /** For Stable Diffusion XL. */
  readonly added?: AddedTensors | undefined;
}

/**
 * Mean squared error of the prediction (Ho et al. 2020, equation 14; for the velocity v = αε − σz Salimans and Ho
 * 2022, section 4).
 */
export function diffusionLoss(
  model: Denoiser,
  predictionType: PredictionType,
  batch: DiffusionBatch,
): Objective {
  const { latents, noise, alpha, sigma } = batch;
  const target =
    predictionType === 'epsilon' ? noise : subtract(multiply(alpha, noise), multiply(sigma, latents));
  return predictionLoss(model, batch, () => target);
}

/**
 * Mean squared difference from what another network of the same prediction says (output distillation, as in Kim et al.
 * 2023, section 3.2): how a smaller network learns a larger one's.
 */
export function outputLoss(model: Denoiser, teacher: Denoiser, batch: DiffusionBatch): Objective {
  const { timesteps, states, added } = batch;
  return predictionLoss(model, batch, (noised) =>
    stopGradient(teacher(noised, timesteps, states, undefined, added)),
  );
}

function predictionLoss(
  model: Denoiser,
  { latents, noise, timesteps, alpha, sigma, weights, states, added }: DiffusionBatch,
  targetOf: (noised: Tensor) => Tensor,
): Objective {
  const noised = add(multiply(alpha, latents), multiply(sigma, noise)); // z_t = αz + σε
  const target = targetOf(noised);
  const prediction = model(noised, timesteps, states, undefined, added);
  const sampleLoss = reduceMean(square(subtract(prediction, target)), [1, 2, 3]);
  const loss = reduceMean(multiply(sampleLoss, weights));
  return { loss, sampleLoss, intermediates: { noised, target, prediction } };
}
