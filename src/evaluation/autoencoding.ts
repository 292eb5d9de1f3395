/** A model's autoencoder over real pictures: to the latents that the UNet sees, and back. */

import { type Autoencoder, autoencoder } from '../components/autoencoder.ts';
import type { ModelFiles, StoredNetwork } from '../components/model-files.ts';
import { abortable } from '../engines/abortable.ts';
import type { Engine, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import type { Params } from '../layers/params.ts';
import { paramsFromWeights } from '../weights/source.ts';

export class Autoencoding {
  readonly #engine: Engine;
  readonly #stored: StoredNetwork;
  readonly #autoencoder: Autoencoder;
  readonly #cache = new ExecutableCache();

  private constructor(engine: Engine, stored: StoredNetwork, model: Autoencoder) {
    this.#engine = engine;
    this.#stored = stored;
    this.#autoencoder = model;
  }

  /** Throws InputError when the model's autoencoder is of no known class, or its configuration not supported. */
  static async open(engine: Engine, files: ModelFiles): Promise<Autoencoding> {
    const stored = await files.network('vae');
    return new Autoencoding(engine, stored, autoencoder(files.classes.get('vae') ?? '', stored.config));
  }

  /** pixels: [B, 3, H, W] in [−1, 1] → posterior means as the UNet sees them, [B, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const { encode } = this.#autoencoder;
    return this.#run('encoder', pixels, options, (p, x) => encode(p, x).mean);
  }

  /** pixels: [B, 3, H, W] in [−1, 1] → what is left of them after the latents, the same shape, not clamped. */
  async reconstruct(pixels: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const { encode, decode } = this.#autoencoder;
    return this.#run('autoencoder', pixels, options, (p, x) => decode(p, encode(p, x).mean));
  }

  async dispose(): Promise<void> {
    await this.#cache.dispose();
  }

  async #run(
    name: string,
    pixels: HostTensor,
    options: RunOptions | undefined,
    write: (params: Params, pixels: Tensor) => Tensor,
  ): Promise<HostTensor> {
    const compile = () => {
      const { weights, location } = this.#stored;
      const source = paramsFromWeights(weights);
      const result = write(source.params, input('pixels', pixels.shape));
      source.requireAll(location);
      return this.#engine.compile(program({ result }), { weights, name });
    };
    const run = this.#cache.use(`${name} ${pixels.shape.join('×')}`, compile, (executable) =>
      executable.run({ pixels }, options),
    );
    const { result } = await abortable(run, options?.signal);
    return result!;
  }
}
