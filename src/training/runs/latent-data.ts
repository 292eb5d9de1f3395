/** Latents and captions for training in latent space: a trained autoencoder and a tokenizer over a picture source. */
import { join } from 'node:path';
import type { Engine } from '../../engines/engine.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { type Image, tensorToImage } from '../../images/image.ts';
import type { Generator } from '../../random/generator.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { nearestLatents } from '../data/nearest-latents.ts';
import type { PictureSize, PictureSource } from '../data/picture-source.ts';
import { randomStream } from '../data/random-stream.ts';
import type { OnProgress } from '../loop/events.ts';
import type { LatentsConfig } from './config.ts';
import { type KeptLatents, nameOf, openKeptLatents } from './kept-latents.ts';
import { batchShapes, type LatentAutoencoder, picturesAtOnce } from './latent-autoencoder.ts';
import { fingerprint, PictureEncoder } from './picture-encoder.ts';
import type { TrainingPictures } from './pictures.ts';
import type { NearPicture } from './run.ts';

/** One batch. */
export interface LatentBatch {
  /** Scaled latents, [B, C, h, w]. */
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

/** Opens the data of a run. Pictures are encoded while they are needed for the first time. */
export async function openLatentData(options: LatentDataOptions): Promise<LatentData> {
  const { vae, pictures, latents, seed, directory, onProgress } = options;
  const { train: source, test } = pictures;
  const encoders = new Map<string, PictureEncoder>();
  const encoderOf = (size: PictureSize) => {
    const shape = batchShapes(vae.config, picturesAtOnce(size), size).pixels;
    const encoder =
      encoders.get(nameOf(size)) ?? new PictureEncoder({ ...options, shape, withDeviation: latents.sample });
    encoders.set(nameOf(size), encoder);
    return encoder;
  };
  const count = Math.min(latents.pictures, source.size);
  if (Number.isFinite(source.size) && count < source.size) {
    onProgress?.({
      type: 'warning',
      message: `the first ${count} of ${source.size} pictures are trained on; the setting latents.pictures says how many are`,
    });
  }
  const autoencoder = await fingerprint(vae.stored);
  const keep = (of: PictureSource, count: number, path: string) =>
    openKeptLatents({ ...options, source: of, count, path, encoderOf, autoencoder });
  const trained = await keep(source, count, latents.file ?? join(directory, 'latents.safetensors'));
  let tested: Promise<KeptLatents> | undefined;
  const batchOf = async ({ order, read }: KeptLatents, of: PictureSource, at: number) => {
    const examples = order.batch(at);
    const { values, shape } = await read(examples);
    const drawn = latents.sample ? sampled(values, examples.length, randomStream(seed, 5, at)) : values;
    return {
      latents: hostTensor(drawn, shape),
      captions: examples.map(({ example }) => of.caption(example)),
    };
  };
  return {
    batch: (step) => batchOf(trained, source, step),
    testBatch:
      test &&
      (async (at) => {
        const most = Math.min(test.size, LARGEST_TEST);
        tested ??= keep(test, most, join(directory, 'latents-of-tests.safetensors'));
        return batchOf(await tested, test, at);
      }),
    nearest: async (images) => {
      const means = await encoderOf(source).means(images);
      const near = nearestLatents(means, elementCount(vae.shape), trained.known());
      const found = near.flatMap(({ seen, distance }) => (seen ? [{ picture: seen.picture, distance }] : []));
      const originals = await source.pixels(found.map(({ picture }) => picture));
      return found.map(({ distance }, i) => ({
        image: tensorToImage(originals, source.width, source.height, i),
        distance,
      }));
    },
    async close() {
      await trained.close();
      await (await tested?.catch(() => undefined))?.close(); // heard by whoever reads
      for (const encoder of encoders.values()) await encoder.close();
    },
  };
}

/** For a sample sheet: nothing where pictures have no end or no common size, or before the data are open. */
export function nearestIn({ train }: TrainingPictures, data: LatentData | undefined) {
  return data && Number.isFinite(train.pictures) && train.sizes.length === 1
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

/** Means and standard deviations [N, 2·C, h, w] → what is drawn from the posterior, mean + deviation · noise, [N, C, h, w]. */
function sampled(moments: Float32Array, count: number, random: Generator): Float32Array {
  const size = moments.length / count / 2;
  const noise = random.normal(count * size);
  return noise.map((value, i) => {
    const at = Math.floor(i / size) * 2 * size + (i % size);
    return moments[at]! + moments[at + size]! * value;
  });
}
