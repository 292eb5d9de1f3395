/** The autoencoder behind a training in latent space: shapes of pictures and of their latents, and what these take. */
import { type Autoencoder, autoencoder } from '../../components/autoencoder.ts';
import type { Component } from '../../components/components.ts';
import type { StoredAutoencoder } from '../../components/model-files.ts';
import { located, UsageError } from '../../errors.ts';
import { elementCount } from '../../graph/shape.ts';
import { keptVariants } from '../data/example-order.ts';
import type { PictureSize, PictureSource } from '../data/picture-source.ts';
import type { LatentsConfig } from './config.ts';
import { requireReadable } from './model-files.ts';

/** Pixels of the pictures that are encoded at once: 32 of 64×64, 2 of 256×256. */
const PIXELS_AT_ONCE = 2 ** 17;
const MOST_AT_ONCE = 32;

/** Pictures that an autoencoder takes at once, so that neither its memory nor a step of it grows with their size. */
export function picturesAtOnce({ height, width }: PictureSize): number {
  return Math.max(1, Math.min(MOST_AT_ONCE, Math.floor(PIXELS_AT_ONCE / (height * width))));
}

export type Shape4 = readonly [number, number, number, number];

/** Shapes of a batch of pictures and of their latents. Throws UsageError for pictures that are no multiple of a latent. */
export function batchShapes(
  { factor, latentChannels }: Pick<Autoencoder, 'factor' | 'latentChannels'>,
  batch: number,
  { height, width }: PictureSize,
): { pixels: Shape4; latents: Shape4 } {
  if (height % factor !== 0 || width % factor !== 0) {
    throw new UsageError(
      `the pictures to train on have ${width}×${height} pixels; expected multiples of ${factor}, the pixels along each side that one latent of this autoencoder stands for`,
    );
  }
  return {
    pixels: [batch, 3, height, width],
    latents: [batch, latentChannels, height / factor, width / factor],
  };
}

/** An autoencoder that makes the latents of a training. */
export interface LatentAutoencoder extends Component<Autoencoder> {
  readonly stored: StoredAutoencoder;
  /** Of the latents of one training picture, [C, h, w]; where pictures have several sizes, of the largest. */
  readonly shape: readonly [number, number, number];
}

/** Throws InputError for an autoencoder that is not supported, UsageError for pictures that it does not take. */
export function latentAutoencoder(stored: StoredAutoencoder, source: PictureSource): LatentAutoencoder {
  const { location, className, weights } = requireReadable(stored);
  const config = located(location, () => autoencoder(className, stored.config));
  const [shape] = source.sizes.map((size) => batchShapes(config, 1, size).latents.slice(1));
  return { location, weights, config, stored, shape: shape as unknown as LatentAutoencoder['shape'] };
}

/** Bytes of the file with the latents of a source: float16. */
export function latentsBytes(
  { shape }: LatentAutoencoder,
  source: PictureSource,
  { pictures, variants, sample }: LatentsConfig,
): number {
  const count = Math.min(pictures, source.pictures) * keptVariants(source, variants);
  return 2 * count * elementCount(shape) * (sample ? 2 : 1);
}
