/** Latents and captions for training in latent space: a trained autoencoder and a tokenizer over a picture source. */
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { type Autoencoder, autoencoder } from '../../components/autoencoder.ts';
import type { Component } from '../../components/components.ts';
import type { StoredAutoencoder } from '../../components/model-files.ts';
import { abortable } from '../../engines/abortable.ts';
import type { Engine, Executable } from '../../engines/engine.ts';
import { located, UsageError } from '../../errors.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { concat } from '../../graph/operators/index.ts';
import { elementCount } from '../../graph/shape.ts';
import { autoencoderKLConfig } from '../../models/autoencoder-kl.ts';
import { autoencoderTinyConfig } from '../../models/autoencoder-tiny.ts';
import { float32, type Network, programOf } from '../../networks/network.ts';
import type { Generator } from '../../random/generator.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { bytesOf } from '../../weights/safetensors.ts';
import { ExampleOrder, keptVariants } from '../data/example-order.ts';
import { LatentsCache } from '../data/latents-cache.ts';
import type { PictureSize, PictureSource } from '../data/picture-source.ts';
import { randomStream } from '../data/random-stream.ts';
import type { OnProgress } from '../loop/events.ts';
import type { LatentsConfig } from './config.ts';
import { requireReadable } from './model-files.ts';

export interface LatentData {
  /** Of one batch: [B, C, h, w]. */
  readonly shape: Shape4;
  /** Scaled latents and the captions of batch `step`. */
  batch(step: number): Promise<{ readonly latents: HostTensor; readonly captions: readonly string[] }>;
  close(): Promise<void>;
}

/** Pixels of the pictures that are encoded at once: 32 of 64×64, 2 of 256×256. */
const PIXELS_AT_ONCE = 2 ** 17;
const MOST_AT_ONCE = 32;

/** Pictures that an autoencoder takes at once, so that neither its memory nor a step of it grows with their size. */
export function picturesAtOnce({ height, width }: PictureSource): number {
  return Math.max(1, Math.min(MOST_AT_ONCE, Math.floor(PIXELS_AT_ONCE / (height * width))));
}

type Shape4 = readonly [number, number, number, number];

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
  readonly source: PictureSource;
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
  const { engine, vae, source, latents, batch, seed, directory, onProgress, signal } = options;
  const shape: Shape4 = [batch, ...vae.shape];
  const block = picturesAtOnce(source);
  const { pixels } = batchShapes(vae.config, block, source);
  let compiled: Promise<Executable> | undefined;
  const encoder = () => {
    if (!compiled) onProgress?.({ type: 'phase', message: 'compiling the encoder of pictures' });
    compiled ??= compileEncoder(engine, vae, pixels, latents.sample);
    return abortable(compiled, signal);
  };
  const count = Math.min(latents.pictures, source.size);
  if (Number.isFinite(source.size) && count < source.size) {
    onProgress?.({
      type: 'warning',
      message: `the first ${count} of ${source.size} pictures are trained on; the setting latents.pictures says how many are`,
    });
  }
  const variants = keptVariants(source, latents.variants);
  const orderOf = (seed: number) => new ExampleOrder({ source, seed, batch, count, variants });
  const order = orderOf(seed);
  const [channels, height, width] = vae.shape;
  const cache = await LatentsCache.open({
    path: latents.file ?? join(directory, 'latents.safetensors'),
    count: Array.from(order.encounters()).length,
    source,
    size: source,
    encounters: (seed) => orderOf(seed).encounters(),
    encoder,
    block,
    seed,
    shape: latents.sample ? [2 * channels, height, width] : vae.shape,
    onProgress,
    signal,
    description: {
      pictures: source.identity,
      autoencoder: await fingerprint(vae.stored),
      ...(variants > 1 && { views: viewsOf(source, variants) }),
      ...(latents.sample && { contents: 'mean and standard deviation' }),
    },
  });
  return {
    shape,
    async batch(step) {
      const examples = order.batch(step);
      const kept = await cache.read(examples);
      const values = latents.sample ? drawn(kept, batch, randomStream(seed, 5, step)) : kept;
      return {
        latents: hostTensor(values, shape),
        captions: examples.map(({ example }) => source.caption(example)),
      };
    },
    async close() {
      await cache.close();
      // An engine finishes what it is at before it lets go, and frees the rest itself when it is disposed of.
      if (!signal?.aborted) await (await compiled)?.dispose();
    },
  };
}

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
function drawn(moments: Float32Array, count: number, random: Generator): Float32Array {
  const size = moments.length / count / 2;
  const noise = random.normal(count * size);
  return noise.map((value, i) => {
    const at = Math.floor(i / size) * 2 * size + (i % size);
    return moments[at]! + moments[at + size]! * value;
  });
}

/** pixels [N, 3, H, W] → scaled posterior means [N, C, h, w], or [N, 2·C, h, w] with the standard deviations after them. */
async function compileEncoder(engine: Engine, vae: LatentAutoencoder, shape: Shape4, withDeviation: boolean) {
  const network: Network = {
    role: 'encoder',
    name: 'autoencoder encoder',
    component: vae,
    write(params, { pixels }) {
      const { mean, deviation } = vae.config.encode(params, pixels!);
      if (!withDeviation) return { latents: mean };
      if (deviation) return { latents: concat([mean, deviation], 1) };
      throw new UsageError(
        `${vae.location} is an ${vae.config.className}, which has no posterior to draw latents from; set latents.sample to false`,
      );
    },
  };
  const { program, weights } = programOf(network, { pixels: float32(shape) });
  return engine.compile(program, { weights, name: network.name });
}

/**
 * A digest of what the latents depend on, so that a cache is not used with another encoder: settings by their
 * meaning, however the file spells them, and the encoder's weights by their values, whatever type they are stored in. A decoder trained further changes nothing.
 */
async function fingerprint({ className, config: json, weights }: StoredAutoencoder): Promise<string> {
  const config = className === 'AutoencoderTiny' ? autoencoderTinyConfig(json) : autoencoderKLConfig(json);
  const hash = createHash('sha256').update(JSON.stringify(config));
  const names = [...weights.keys()].filter((name) => /^(encoder|quant_conv)\./.test(name)).sort();
  for (const [name, tensor] of await loadTensors(weights, names)) {
    hash.update(name).update(bytesOf(convertTensor(tensor, 'float32')));
  }
  return hash.digest('hex').slice(0, 32);
}
