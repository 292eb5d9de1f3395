/** The two kinds of autoencoder behind one interface: pictures to latents as the UNet sees them, and back. */
import { InputError } from '../errors.ts';
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Params } from '../layers/params.ts';
import * as kl from '../models/autoencoder-kl.ts';
import * as tiny from '../models/autoencoder-tiny.ts';
import { diagonalGaussian } from '../models/diagonal-gaussian.ts';
import { type Size, sizeOf } from './size.ts';

/** What an encoder says about a picture: a Gaussian over latents, or the latents themselves. */
export interface Posterior {
  /** [B, C, h, w], scaled. */
  readonly mean: Tensor;
  /** Standard deviation, [B, C, h, w], scaled; autoencoders without one have nothing to draw. */
  readonly deviation?: Tensor;
}

/** A configuration with the functions that belong to it. */
export interface Autoencoder {
  readonly className: 'AutoencoderKL' | 'AutoencoderTiny';
  readonly latentChannels: number;
  /** Pixels along each side that one latent pixel stands for. */
  readonly factor: number;
  /** Picture size the model was trained at; undefined where its config does not say. */
  readonly sampleSize: Size | undefined;
  readonly scalingFactor: number;
  /** Channels of the decoder, from the pixels on. */
  readonly widths: readonly number[];
  /** pixels: [B, 3, H, W] in [−1, 1], sides multiples of `factor`. */
  encode(p: Params, pixels: Tensor): Posterior;
  /** latents: [B, C, h, w], scaled → [B, 3, f·h, f·w], about in [−1, 1] and not clamped. */
  decode(p: Params, latents: Tensor): Tensor;
}

/** Throws InputError for a class that is not known or a configuration that is not supported. */
export function autoencoder(className: string, json: unknown): Autoencoder {
  switch (className) {
    case 'AutoencoderKL': {
      const config = requireColours(kl.autoencoderKLConfig(json));
      return {
        className,
        latentChannels: config.latent_channels,
        factor: kl.downsamplingFactor(config),
        sampleSize: sizeOf(config.sample_size),
        scalingFactor: config.scaling_factor,
        widths: config.block_out_channels,
        encode(p, pixels) {
          const { mean, logVariance } = diagonalGaussian(kl.encode(config, p, pixels));
          const deviation = ops.exp(ops.multiply(logVariance, 0.5));
          return { mean: scale(mean, config), deviation: ops.multiply(deviation, config.scaling_factor) };
        },
        decode: (p, latents) => kl.decode(config, p, unscale(latents, config)),
      };
    }
    case 'AutoencoderTiny': {
      const config = requireColours(tiny.autoencoderTinyConfig(json));
      return {
        className,
        latentChannels: config.latent_channels,
        factor: 2 ** (config.decoder_block_out_channels.length - 1),
        sampleSize: undefined,
        scalingFactor: config.scaling_factor,
        widths: config.decoder_block_out_channels.toReversed(),
        encode: (p, pixels) => ({ mean: scale(tiny.encode(config, p, pixels), config) }),
        decode: (p, latents) => tiny.decode(config, p, unscale(latents, config)),
      };
    }
    default:
      throw new InputError(`the VAE is a ${className}; supported are AutoencoderKL and AutoencoderTiny`, {
        code: 'unsupported',
      });
  }
}

/** Pictures have three channels. */
function requireColours<Config extends { readonly in_channels: number; readonly out_channels: number }>(
  config: Config,
): Config {
  const { in_channels: read, out_channels: written } = config;
  if (read === 3 && written === 3) return config;
  throw new InputError(
    `the VAE reads pictures of ${read} channels (in_channels) and writes ${written} (out_channels); expected 3 and 3`,
  );
}

interface Scaling {
  readonly scaling_factor: number;
  readonly shift_factor: number | null;
}

/** From the autoencoder's own scale to the UNet's: (z − shift_factor) · scaling_factor. */
function scale(latents: Tensor, { scaling_factor, shift_factor }: Scaling): Tensor {
  const shifted = shift_factor === null ? latents : ops.subtract(latents, shift_factor);
  return scaling_factor === 1 ? shifted : ops.multiply(shifted, scaling_factor);
}

/** From the UNet's scale to the autoencoder's own: z / scaling_factor + shift_factor. */
function unscale(latents: Tensor, { scaling_factor, shift_factor }: Scaling): Tensor {
  const unscaled = scaling_factor === 1 ? latents : ops.divide(latents, scaling_factor);
  return shift_factor === null ? unscaled : ops.add(unscaled, shift_factor);
}
