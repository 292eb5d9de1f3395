/** Training a variational autoencoder: reconstruction in several norms, and a pull towards N(0, 1). */
import {
  abs,
  add,
  multiply,
  reduceMean,
  slice,
  square,
  stopGradient,
  subtract,
} from '../../graph/operators/index.ts';
import { elementCount } from '../../graph/shape.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { diagonalGaussian, klDivergence, reparametrize } from '../../models/diagonal-gaussian.ts';
import type { Objective } from './objective.ts';

/** The parts of the loss and their weights. */
export interface AutoencoderLossWeights {
  readonly l1: number;
  readonly mse: number;
  /** Of the L1 norm of the error's differences between neighbouring pixels, which keeps edges sharp. */
  readonly gradient: number;
  /** Of the Kullback–Leibler divergence of the posterior from N(0, 1). */
  readonly kl: number;
  /** `element`: the mean over latent elements. `image`: summed over an image's elements, mean over images. */
  readonly klReduction: 'element' | 'image';
}

export interface Autoencoder {
  /** [B, 3, H, W] in −1 to 1 → moments of the posterior over latents, [B, 2·C, h, w]. */
  encode(pixels: Tensor): Tensor;
  /** [B, C, h, w] → [B, 3, H, W]. */
  decode(latents: Tensor): Tensor;
}

/**
 * Encoder and decoder together: reconstruct from a sample of the posterior (Kingma and Welling 2013, equation 10).
 * pixels: [B, 3, H, W] in −1 to 1; noise: standard normal, [B, C, h, w].
 */
export function autoencoderLoss(
  autoencoder: Autoencoder,
  pixels: Tensor,
  noise: Tensor,
  weights: AutoencoderLossWeights,
): Objective {
  const posterior = diagonalGaussian(autoencoder.encode(pixels));
  const elements = elementCount(posterior.mean.shape.slice(1));
  const latents = reparametrize(posterior, noise);
  const reconstruction = autoencoder.decode(latents);
  const divergence = reduceMean(klDivergence(posterior));
  const kl = weights.klReduction === 'image' ? divergence : multiply(divergence, 1 / elements);
  const { l1, mse, loss: error } = reconstructionError(reconstruction, pixels, weights);
  const loss = add(error, multiply(kl, weights.kl));
  return { loss, parts: { l1, mse, kl }, intermediates: { latents, reconstruction } };
}

/**
 * The decoder alone, behind a frozen encoder: posterior means with noise of standard deviation `noiseScale` added,
 * so that the decoder forgives a diffusion model's small errors.
 */
export function decoderLoss(
  autoencoder: Autoencoder,
  pixels: Tensor,
  noise: Tensor,
  noiseScale: number,
  weights: Pick<AutoencoderLossWeights, 'l1' | 'mse' | 'gradient'>,
): Objective {
  const mean = stopGradient(diagonalGaussian(autoencoder.encode(pixels)).mean);
  const reconstruction = autoencoder.decode(add(mean, multiply(noise, noiseScale)));
  const { l1, mse, loss } = reconstructionError(reconstruction, pixels, weights);
  return { loss, parts: { l1, mse }, intermediates: { reconstruction } };
}

function reconstructionError(
  reconstruction: Tensor,
  pixels: Tensor,
  weights: Pick<AutoencoderLossWeights, 'l1' | 'mse' | 'gradient'>,
): { l1: Tensor; mse: Tensor; loss: Tensor } {
  const error = subtract(reconstruction, pixels);
  const l1 = reduceMean(abs(error));
  const mse = reduceMean(square(error));
  let loss = multiply(l1, weights.l1);
  if (weights.mse > 0) loss = add(loss, multiply(mse, weights.mse));
  if (weights.gradient > 0) {
    const edges = add(reduceMean(abs(differences(error, 2))), reduceMean(abs(differences(error, 3))));
    loss = add(loss, multiply(edges, weights.gradient));
  }
  return { l1, mse, loss };
}

/** x[i + 1] − x[i] along an axis. */
function differences(x: Tensor, axis: number): Tensor {
  const size = x.shape[axis]!;
  return subtract(slice(x, axis, 1, size), slice(x, axis, 0, size - 1));
}
