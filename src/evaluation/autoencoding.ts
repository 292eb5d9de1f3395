/** A model's autoencoder over real pictures: to the latents that the UNet sees, and back. */
import { autoencoder } from '../components/autoencoder.ts';
import type { ModelFiles } from '../components/model-files.ts';
import type { Engine, RunOptions } from '../engines/engine.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { autoencoderNetwork, encoderNetwork } from '../networks/model-networks.ts';
import type { Network } from '../networks/network.ts';
import { NetworkRunner } from '../networks/runner.ts';

/** Pictures through a model's autoencoder and back, to see what that alone costs. */
export class Autoencoding {
  readonly #runner: NetworkRunner;
  readonly #encoder: Network;
  readonly #whole: Network;

  private constructor(runner: NetworkRunner, encoder: Network, whole: Network) {
    this.#runner = runner;
    this.#encoder = encoder;
    this.#whole = whole;
  }

  /** Throws InputError when the model's autoencoder is of no known class, or its configuration not supported. */
  static async open(engine: Engine, files: ModelFiles): Promise<Autoencoding> {
    const stored = await files.network('vae');
    const vae = { ...stored, config: autoencoder(files.classes.get('vae') ?? '', stored.config) };
    return new Autoencoding(new NetworkRunner(engine), encoderNetwork(vae), autoencoderNetwork(vae));
  }

  /** pixels: [B, 3, H, W] in [−1, 1] → posterior means as the UNet sees them, [B, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const { mean } = await this.#runner.call(this.#encoder, { pixels }, options);
    return mean!;
  }

  /** pixels: [B, 3, H, W] in [−1, 1] → what is left of them after the latents, the same shape, not clamped. */
  async reconstruct(pixels: HostTensor, options?: RunOptions): Promise<HostTensor> {
    const result = await this.#runner.call(this.#whole, { pixels }, options);
    return result.pixels!;
  }

  async dispose(): Promise<void> {
    await this.#runner.dispose(new Error('the autoencoder was disposed of'));
  }
}
