/** The latents of a source's pictures in files, one for each size of pictures, and the order in which they are read. */
import type { Shape } from '../../graph/shape.ts';
import { type Example, ExampleOrder, keptVariants } from '../data/example-order.ts';
import { LatentsCache, type SeenPicture } from '../data/latents-cache.ts';
import type { PictureSize, PictureSource } from '../data/picture-source.ts';
import type { LatentsConfig } from './config.ts';
import { batchShapes, type LatentAutoencoder, picturesAtOnce } from './latent-autoencoder.ts';
import type { PictureEncoder } from './picture-encoder.ts';
import type { Watch } from './pictures.ts';

export interface KeptLatentsOptions extends Watch {
  readonly vae: LatentAutoencoder;
  readonly source: PictureSource;
  /** Examples 0 to `count` − 1 are taken. */
  readonly count: number;
  readonly latents: LatentsConfig;
  readonly batch: number;
  readonly seed: number;
  /** The file; with several sizes their names come before its ending. */
  readonly path: string;
  readonly encoderOf: (size: PictureSize) => PictureEncoder;
  /** Tells autoencoders apart. */
  readonly autoencoder: string;
}

export interface KeptLatents {
  readonly order: ExampleOrder;
  /** Of pictures of one size: [N, C, h, w], or [N, 2·C, h, w] with deviations; `shape` is that without. */
  read(examples: readonly Example[]): Promise<{ readonly values: Float32Array; readonly shape: Shape }>;
  /** All that was encoded so far. */
  known(): Iterable<{ readonly seen: SeenPicture; readonly latents: Float32Array }>;
  close(): Promise<void>;
}

/** Throws UsageError when a file holds the latents of something else, InputError when it is another's or in use. */
export async function openKeptLatents(options: KeptLatentsOptions): Promise<KeptLatents> {
  const { vae, source, count, latents, batch, seed, path, encoderOf, autoencoder } = options;
  const variants = keptVariants(source, latents.variants);
  const orderOf = (seed: number) => new ExampleOrder({ source, seed, batch, count, variants });
  const order = orderOf(seed);
  const isOnly = source.sizes.length === 1;
  const caches = new Map<string, LatentsCache>();
  for (const size of source.sizes) {
    const isOf = ({ picture }: SeenPicture) => isOnly || nameOf(source.sizeOf(picture)) === nameOf(size);
    const encounters = (seed: number) => Array.from(orderOf(seed).encounters()).filter(isOf);
    const [, channels, height, width] = batchShapes(vae.config, 1, size).latents;
    const cache = await LatentsCache.open({
      ...options,
      path: isOnly ? path : path.replace(/(\.[^./\\]*)?$/, `-${nameOf(size)}$1`),
      count: encounters(seed).length,
      size,
      encounters,
      encoder: () => encoderOf(size).executable(),
      block: picturesAtOnce(size),
      shape: latents.sample ? [2 * channels, height, width] : [channels, height, width],
      description: {
        pictures: source.identity,
        autoencoder,
        ...(variants > 1 && { views: viewsOf(source, variants) }),
        ...(latents.sample && { contents: 'mean and standard deviation' }),
      },
    });
    caches.set(nameOf(size), cache);
  }
  return {
    order,
    async read(examples) {
      const size = source.sizeOf(examples[0]!.picture);
      const values = await caches.get(nameOf(size))!.read(examples);
      return { values, shape: batchShapes(vae.config, examples.length, size).latents };
    },
    *known() {
      for (const cache of caches.values()) yield* cache.known();
    },
    async close() {
      for (const cache of caches.values()) await cache.close();
    },
  };
}

/** `96x64`. */
export function nameOf({ width, height }: PictureSize): string {
  return `${width}x${height}`;
}

/** Says how pictures are seen that are kept in several ways. */
function viewsOf({ variety: { crop, flip } }: PictureSource, variants: number): string {
  return `${variants}${crop ? ', cut at random' : ''}${flip ? ', flipped' : ''}`;
}
