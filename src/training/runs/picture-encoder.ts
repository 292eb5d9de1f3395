/** The encoder of an autoencoder, compiled when the first picture is to be encoded. */
import { createHash } from 'node:crypto';
import type { StoredAutoencoder } from '../../components/model-files.ts';
import { abortable } from '../../engines/abortable.ts';
import type { Engine, Executable } from '../../engines/engine.ts';
import { UsageError } from '../../errors.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { concat } from '../../graph/operators/index.ts';
import { elementCount } from '../../graph/shape.ts';
import { type Image, imageToTensor } from '../../images/image.ts';
import { autoencoderKLConfig } from '../../models/autoencoder-kl.ts';
import { autoencoderTinyConfig } from '../../models/autoencoder-tiny.ts';
import { float32, type Network, programOf } from '../../networks/network.ts';
import { convertTensor } from '../../weights/convert.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { bytesOf } from '../../weights/safetensors.ts';
import type { LatentAutoencoder, Shape4 } from './latent-autoencoder.ts';
import type { Watch } from './pictures.ts';

export interface PictureEncoderOptions extends Watch {
  readonly engine: Engine;
  readonly vae: LatentAutoencoder;
  /** Of the pictures that are encoded at once, [N, 3, H, W]. */
  readonly shape: Shape4;
  /** Whether the standard deviations of the posterior follow its means. */
  readonly withDeviation: boolean;
}

export class PictureEncoder {
  readonly #options: PictureEncoderOptions;
  #compiled: Promise<Executable> | undefined;

  constructor(options: PictureEncoderOptions) {
    this.#options = options;
  }

  /** pixels [N, 3, H, W] → latents: scaled means [N, C, h, w], or [N, 2·C, h, w] with the deviations after them. */
  executable(): Promise<Executable> {
    const { onProgress, signal } = this.#options;
    if (!this.#compiled) onProgress?.({ type: 'phase', message: 'compiling the encoder of pictures' });
    this.#compiled ??= compile(this.#options);
    return abortable(this.#compiled, signal);
  }

  /** The scaled means of pictures of the encoder's size, one after the other. */
  async means(images: readonly Image[]): Promise<Float32Array> {
    const { shape, vae, signal } = this.#options;
    const [block] = shape;
    const size = elementCount(vae.shape);
    const means = new Float32Array(images.length * size);
    const executable = await this.executable();
    for (let start = 0; start < images.length; start += block) {
      const some = images.slice(start, start + block);
      const pixels = new Float32Array(elementCount(shape));
      for (const [i, image] of some.entries()) imageToTensor(image, pixels, i * elementCount(shape.slice(1)));
      const { latents } = await executable.run({ pixels: hostTensor(pixels, shape) }, { signal });
      const values = float32Data(latents!);
      const stride = values.length / block;
      for (const i of some.keys()) {
        means.set(values.subarray(i * stride, i * stride + size), (start + i) * size);
      }
    }
    return means;
  }

  async close(): Promise<void> {
    // An engine finishes what it is at before it lets go, and frees the rest itself when it is disposed of.
    if (!this.#options.signal?.aborted) await (await this.#compiled)?.dispose();
  }
}

async function compile({ engine, vae, shape, withDeviation }: PictureEncoderOptions): Promise<Executable> {
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
export async function fingerprint({ className, config: json, weights }: StoredAutoencoder): Promise<string> {
  const config = className === 'AutoencoderTiny' ? autoencoderTinyConfig(json) : autoencoderKLConfig(json);
  const hash = createHash('sha256').update(JSON.stringify(config));
  const names = [...weights.keys()].filter((name) => /^(encoder|quant_conv)\./.test(name)).sort();
  for (const [name, tensor] of await loadTensors(weights, names)) {
    hash.update(name).update(bytesOf(convertTensor(tensor, 'float32')));
  }
  return hash.digest('hex').slice(0, 32);
}
