/** A model's autoencoder over real pictures: to the latents that the UNet sees, and back. */
import type { Engine, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import { InputError } from '../errors.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import * as ops from '../graph/operators/index.ts';
import { program } from '../graph/program.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import type { Params } from '../layers/params.ts';
import { type AutoencoderKLConfig, autoencoderKLConfig, decode, encode } from '../models/autoencoder-kl.ts';
import { diagonalGaussian } from '../models/diagonal-gaussian.ts';
import type { ModelFiles, StoredNetwork } from '../pipelines/model-files.ts';
import { paramsFromWeights } from '../weights/source.ts';

export class Autoencoding {
  readonly #engine: Engine;
  readonly #stored: StoredNetwork;
  readonly #config: AutoencoderKLConfig;
  readonly #cache = new ExecutableCache();

  private constructor(engine: Engine, stored: StoredNetwork, config: AutoencoderKLConfig) {
    this.#engine = engine;
    this.#stored = stored;
    this.#config = config;
  }

  /** Throws InputError when the model's autoencoder is not an AutoencoderKL. */
  static async open(engine: Engine, files: ModelFiles): Promise<Autoencoding> {
    const className = files.classes.get('vae');
    if (className !== 'AutoencoderKL') {
      throw new InputError(
        `${files.location}: the VAE is ${className ?? 'missing'}; expected an AutoencoderKL`,
      );
    }
    const stored = await files.network('vae');
    return new Autoencoding(engine, stored, autoencoderKLConfig(stored.config));
  }

  /** pixels: [B, 3, H, W] in [−1, 1] → posterior means as the UNet sees them, [B, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const { scaling_factor, shift_factor } = this.#config;
    const { latents } = await this.#run('encoder', pixels, options, (mean) => ({
      latents: ops.multiply(ops.subtract(mean, shift_factor ?? 0), scaling_factor),
    }));
    return latents!;
  }

  /** pixels: [B, 3, H, W] in [−1, 1] → what is left of them after the latents, the same shape, not clamped. */
  async reconstruct(pixels: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const { reconstructed } = await this.#run('autoencoder', pixels, options, (mean, params) => ({
      reconstructed: decode(this.#config, params, mean),
    }));
    return reconstructed!;
  }

  async dispose(): Promise<void> {
    await this.#cache.dispose();
  }

  async #run(
    name: string,
    { shape, data }: HostTensor,
    options: RunOptions | undefined,
    write: (mean: Tensor, params: Params) => Record<string, Tensor>,
  ): Promise<Record<string, HostTensor>> {
    const executable = await this.#cache.get(`${name} ${shape.join('×')}`, () => {
      const { weights, location } = this.#stored;
      const source = paramsFromWeights(weights);
      const { mean } = diagonalGaussian(encode(this.#config, source.params, input('pixels', shape)));
      const outputs = write(mean, source.params);
      source.requireAll(location);
      return this.#engine.compile(program(outputs), { weights, name });
    });
    return executable.run({ pixels: hostTensor(data, shape) }, options);
  }
}
