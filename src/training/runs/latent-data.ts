import { join } from 'node:path';
import { type Autoencoder, autoencoder } from '../../components/autoencoder.ts';
import type { Component } from '../../components/components.ts';
import type { StoredAutoencoder } from '../../components/model-files.ts';
import type { Engine } from '../../engines/engine.ts';
import { located, UsageError } from '../../errors.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { type Image, tensorToImage } from '../../images/image.ts';
import type { Generator } from '../../random/generator.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { ExampleOrder, keptVariants } from '../data/example-order.ts';
import { LatentsCache } from '../data/latents-cache.ts';
import { nearestLatents } from '../data/nearest-latents.ts';
import type { PictureSize, PictureSource } from '../data/picture-source.ts';
import { randomStream } from '../data/random-stream.ts';
import type { OnProgress } from '../loop/events.ts';
import type { LatentsConfig } from './config.ts';
import { requireReadable } from './model-files.ts';
import { fingerprint, PictureEncoder } from './picture-encoder.ts';
import type { TrainingPictures } from './pictures.ts';
import type { NearPicture } from './run.ts';

/** One batch. */
export interface LatentBatch {
  /** Scaled, [B, C, h, w]. */
  readonly latents: HostTensor;
  readonly captions: readonly string[];
}

export interface LatentData {
  /** Batch `step`, the same at every call. */
  batch(step: number): Promise<LatentBatch>;
  /** Batches of pictures that are kept for tests; undefined where there are none. */
  readonly testBatch: ((at: number) => Promise<LatentBatch>) | undefined;
  /** The pictures trained on that come nearest to others by their latents, as far as they were encoded. */
  nearest(images: readonly Image[]): Promise<NearPicture[]>;
  close(): Promise<void>;
}

/** Pixels of the pictures that are encoded at once: 32 of 64×64, 2 of 256×256. */
const PIXELS_AT_ONCE = 2 ** 17;
const MOST_AT_ONCE = 32;

/** Pictures that an autoencoder takes at once, so that neither its memory nor a step of it grows with their size. */
export function picturesAtOnce({ height, width }: PictureSource): number {
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
  /** Of the latents of one training picture, [C, h, w]. */
  readonly shape: readonly [number, number, number];
}

/** Throws InputError for an autoencoder that is not supported, UsageError for pictures that it does not take. */
export function latentAutoencoder(stored: StoredAutoencoder, source: PictureSource): LatentAutoencoder {
  const { location, className, weights } = requireReadable(stored);
  const config = located(location, () => autoencoder(className, stored.config));
  const [, ...shape] = batchShapes(config, 1, source).latents;
  return { location, weights, config, stored, shape };
}

export interface LatentDataOptions {
  readonly engine: Engine;
  readonly vae: LatentAutoencoder;
  readonly pictures: TrainingPictures;
  readonly latents: LatentsConfig;
  readonly batch: number;
  readonly seed: number;
  /** The run's folder. */
  readonly directory: string;
  readonly onProgress?: OnProgress | undefined;
  /** Ends the encoding at once. */
  readonly signal?: AbortSignal | undefined;
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

/** Opens the data of a run. Pictures are encoded while they are needed for the first time. */
export async function openLatentData(options: LatentDataOptions): Promise<LatentData> {
  const { vae, pictures, latents, batch, seed, directory, onProgress } = options;
  const { train: source, test } = pictures;
  const shape: Shape4 = [batch, ...vae.shape];
  const block = picturesAtOnce(source);
  const { pixels } = batchShapes(vae.config, block, source);
  const encoder = new PictureEncoder({ ...options, shape: pixels, withDeviation: latents.sample });
  const autoencoder = await fingerprint(vae.stored);
  const count = Math.min(latents.pictures, source.size);
  if (Number.isFinite(source.size) && count < source.size) {
    onProgress?.({
      type: 'warning',
      message: `the first ${count} of ${source.size} pictures are trained on; the setting latents.pictures says how many are`,
    });
  }
  /** The latents of some examples of a source, kept in a file. */
  const kept = async (of: PictureSource, count: number, path: string) => {
    const variants = keptVariants(of, latents.variants);
    const orderOf = (seed: number) => new ExampleOrder({ source: of, seed, batch, count, variants });
    const order = orderOf(seed);
    const [channels, height, width] = vae.shape;
    const cache = await LatentsCache.open({
      ...options,
      path,
      count: Array.from(order.encounters()).length,
      source: of,
      size: of,
      encounters: (seed) => orderOf(seed).encounters(),
      encoder: () => encoder.executable(),
      block,
      shape: latents.sample ? [2 * channels, height, width] : vae.shape,
      description: {
        pictures: of.identity,
        autoencoder,
        ...(variants > 1 && { views: viewsOf(of, variants) }),
        ...(latents.sample && { contents: 'mean and standard deviation' }),
      },
    });
    return { cache, order };
  };
  const trained = await kept(source, count, latents.file ?? join(directory, 'latents.safetensors'));
  let tested: ReturnType<typeof kept> | undefined;
  const read = async ({ cache, order }: Awaited<ReturnType<typeof kept>>, of: PictureSource, at: number) => {
    const examples = order.batch(at);
    const values = await cache.read(examples);
    const drawn = latents.sample ? sampled(values, batch, randomStream(seed, 5, at)) : values;
    return {
      latents: hostTensor(drawn, shape),
      captions: examples.map(({ example }) => of.caption(example)),
    };
  };
  return {
    batch: (step) => read(trained, source, step),
    testBatch:
      test &&
      (async (at) => {
        const most = Math.min(test.size, LARGEST_TEST);
        tested ??= kept(test, most, join(directory, 'latents-of-tests.safetensors'));
        return read(await tested, test, at);
      }),
    nearest: async (images) => {
      const means = await encoder.means(images);
      const near = nearestLatents(means, elementCount(vae.shape), trained.cache.known());
      const found = near.flatMap(({ seen, distance }) => (seen ? [{ picture: seen.picture, distance }] : []));
      const originals = await source.pixels(found.map(({ picture }) => picture));
      return found.map(({ distance }, i) => ({
        image: tensorToImage(originals, source.width, source.height, i),
        distance,
      }));
    },
    async close() {
      await trained.cache.close();
      await (await tested?.catch(() => undefined))?.cache.close(); // heard by whoever reads
      await encoder.close();
    },
  };
}

/** For a sample sheet: nothing where pictures are drawn without end, or before the data are open. */
export function nearestIn({ train }: TrainingPictures, data: LatentData | undefined) {
  return data && Number.isFinite(train.pictures)
    ? (images: readonly Image[]) => data.nearest(images)
    : undefined;
}

/** Pictures of those kept for tests that are encoded at most. */
const LARGEST_TEST = 1024;

/** The ids of captions, [B, L] int64; every id sequence of the `dropped` ones is that of the empty caption. */
export function captionIds(
  tokenizer: ClipTokenizer,
  captions: readonly string[],
  dropped: readonly boolean[] = [],
): HostTensor {
  return tokenizer.tokenizeBatch(captions.map((caption, i) => (dropped[i] ? '' : caption)));
}

/** Says how pictures are seen that are kept in several ways. */
function viewsOf({ variety: { crop, flip } }: PictureSource, variants: number): string {
  return `${variants}${crop ? ', cut at random' : ''}${flip ? ', flipped' : ''}`;
}

/** Means and standard deviations [N, 2·C, h, w] → what is drawn from the posterior, mean + deviation · noise, [N, C, h, w]. */
function sampled(moments: Float32Array, count: number, random: Generator): Float32Array {
  const size = moments.length / count / 2;
  const noise = random.normal(count * size);
  return noise.map((value, i) => {
    const at = Math.floor(i / size) * 2 * size + (i % size);
    return moments[at]! + moments[at + size]! * value;
  });
}
