/** The networks of a model as functions from values to values; each is compiled once for every shape it meets. */
import { abortable } from '../engines/abortable.ts';
import type { Engine, Executable, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import type { AppliedLora } from '../weights/lora.ts';
import type { Autoencoder } from './autoencoder.ts';
import type { Component, Components } from './components.ts';
import {
  decoderNetwork,
  encoderNetwork,
  type Network,
  programOf,
  textEncoderNetwork,
  unetNetwork,
  xlTextEncoderNetwork,
} from './network-programs.ts';

export interface UNetInputs {
  /** Noisy latents, [B, C, h, w]; for inpainting UNets with mask and masked picture as further channels. */
  readonly sample: HostTensor;
  /** The same for the whole batch, 0 to 999. */
  readonly timestep: number;
  /** States of the text encoder, [B, L, D]. */
  readonly states: HostTensor;
  /** Guidance embedding, [B, E], for UNets that take one. */
  readonly guidance?: HostTensor | undefined;
  readonly added?: AddedConditions | undefined;
}

/** What SDXL's UNet is told besides the states. */
export interface AddedConditions {
  /** Pooled prompts, [B, P]. */
  readonly textEmbeds: HostTensor;
  /** Original height and width, top and left of the crop, target height and width: [B, 6] float32. */
  readonly timeIds: HostTensor;
}

/** A Gaussian over latents, or the latents themselves. */
export interface EncodedPicture {
  /** [1, C, h, w], as the UNet sees them. */
  readonly mean: HostTensor;
  /** Standard deviation, [1, C, h, w]; undefined for autoencoders that have none. */
  readonly deviation: HostTensor | undefined;
}

/** The shapes that a generation will need. */
export interface GenerationShapes {
  /** Token ids for each text encoder, [U, L]. */
  readonly ids: readonly Shape[];
  readonly latents: Shape;
  /** What is decoded at a time, [1, C, h, w]: the latents of a picture, or of a tile of it. */
  readonly decoded: Shape;
  /** Of the picture to begin with, [1, 3, H, W]; undefined for text-to-image. */
  readonly pixels: Shape | undefined;
  /** Images in one pass of the UNet: the batch, or twice the batch with classifier-free guidance. */
  readonly unetBatch: number;
  readonly clipSkip: number;
}

export interface NetworksOptions {
  /**
   * Low-rank adapters on the UNet and the text encoders, added up. One that is an LCM-LoRA (`Lora.isConsistency`) makes
   * a diffusion model a latent consistency model: unless a request says otherwise it draws with the LCM scheduler, 4
   * steps at guidance scale 1.
   */
  readonly loras?: readonly AppliedLora[] | undefined;
  /** Keep one network at a time: less memory, but each is loaded again whenever its turn comes. */
  readonly lowMemory?: boolean | undefined;
  /** Bytes that there are. What needs more is refused, and large pictures are decoded in tiles; no limit by default. */
  readonly memoryLimit?: number | undefined;
  /** A small autoencoder for the same latents, for previews. */
  readonly previewVae?: Component<Autoencoder> | undefined;
}

export class Networks {
  readonly lowMemory: boolean;
  readonly memoryLimit: number | undefined;
  readonly #components: Components;
  readonly #engine: Engine;
  readonly #loras: readonly AppliedLora[];
  readonly #previewVae: Component<Autoencoder> | undefined;
  readonly #cache = new ExecutableCache();
  /** With low memory: the run before, after which the next may begin. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(components: Components, engine: Engine, options: NetworksOptions = {}) {
    this.#components = components;
    this.#engine = engine;
    this.#loras = options.loras ?? [];
    this.#previewVae = options.previewVae;
    this.lowMemory = options.lowMemory ?? false;
    this.memoryLimit = options.memoryLimit;
  }

  /**
   * Compiles everything at once, so that the reading of one network's weights overlaps with another's graph. With low
   * memory nothing: each network is compiled when its turn comes.
   */
  async prepare(shapes: GenerationShapes, { signal }: RunOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.lowMemory) return;
    const all = this.#networksFor(shapes).map((network) => this.#compiled(network));
    await abortable(Promise.all(all), signal);
  }

  /** The programs that a generation runs, by name. Throws InputError when weights are missing; reads none. */
  programs(shapes: GenerationShapes): Map<string, Program> {
    return new Map(
      this.#networksFor(shapes).map((network) => [network.name, programOf(network, this.#loras).program]),
    );
  }

  /**
   * The states that the UNet attends to. ids: [B, L] int64 → [B, L, D].
   * clipSkip: how many of the last layers to leave out.
   */
  async encodeText(ids: HostTensor, clipSkip: number, options?: RunOptions): Promise<HostTensor> {
    const network = textEncoderNetwork(this.#components, ids.shape, clipSkip);
    const { states } = await this.#run(network, { ids }, options);
    return states!;
  }

  /**
   * The states of one of SDXL's text encoders, not normalised, from the layer before the last or `clipSkip` layers
   * earlier; the second also gives the pooled prompt. ids: [B, L] int64 → [B, L, D] and [B, P].
   */
  async encodeTextXL(
    which: 'first' | 'second',
    ids: HostTensor,
    clipSkip: number,
    options?: RunOptions,
  ): Promise<{ readonly states: HostTensor; readonly pooled: HostTensor | undefined }> {
    const network = xlTextEncoderNetwork(this.#components, which, ids.shape, clipSkip);
    const { states, pooled } = await this.#run(network, { ids }, options);
    return { states: states!, pooled };
  }

  /** What the UNet predicts, [B, C, h, w]. */
  async predict(
    { sample, timestep, states, guidance, added }: UNetInputs,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const addedShapes = added && { textEmbeds: added.textEmbeds.shape, timeIds: added.timeIds.shape };
    const network = unetNetwork(this.#components, sample.shape, states.shape, guidance?.shape, addedShapes);
    const batch = sample.shape[0]!;
    const timesteps = hostTensor(new Float32Array(batch).fill(timestep), [batch]);
    const inputs = { sample, timesteps, states, ...(guidance && { guidance }), ...added };
    const { prediction } = await this.#run(network, inputs, options);
    return prediction!;
  }

  /** pixels: [1, 3, H, W] in [−1, 1] → what the autoencoder's encoder says, [1, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<EncodedPicture> {
    const { mean, deviation } = await this.#run(
      encoderNetwork(this.#components, pixels.shape),
      { pixels },
      options,
    );
    return { mean: mean!, deviation };
  }

  /**
   * latents, as the UNet sees them: [B, C, h, w] → pixels [B, 3, H, W], about in [−1, 1] and not clamped. One picture
   * after the other: together they are not faster, but take as many times the memory.
   */
  decode(latents: HostTensor, options?: RunOptions): Promise<HostTensor> {
    return this.#decodeEach('VAE decoder', this.#components.vae, latents, options);
  }

  /** The same by the autoencoder for previews; undefined when there is none. */
  decodePreview(latents: HostTensor, options?: RunOptions): Promise<HostTensor> | undefined {
    return this.#previewVae && this.#decodeEach('preview decoder', this.#previewVae, latents, options);
  }

  async dispose(): Promise<void> {
    await this.#cache.dispose();
  }

  async #decodeEach(
    name: string,
    vae: Component<Autoencoder>,
    latents: HostTensor,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const [batch, ...rest] = latents.shape as [number, number, number, number];
    const [, height, width] = rest;
    const { factor } = vae.config;
    const network = decoderNetwork(name, vae, [1, ...rest]);
    const size = latents.data.length / batch;
    const all = new Float32Array(batch * 3 * (factor * height) * (factor * width));
    for (let i = 0; i < batch; i++) {
      const one = hostTensor(float32Data(latents).subarray(i * size, (i + 1) * size), [1, ...rest]);
      const { pixels } = await this.#run(network, { latents: one }, options);
      all.set(float32Data(pixels!), (i * all.length) / batch);
    }
    return hostTensor(all, [batch, 3, factor * height, factor * width]);
  }

  #networksFor({ ids, latents, decoded, pixels, unetBatch, clipSkip }: GenerationShapes): Network[] {
    const components = this.#components;
    const { unet, second, vae } = components;
    const { time_cond_proj_dim: guidanceWidth, in_channels, cross_attention_dim } = unet.config;
    return [
      ...(second
        ? ids.map((shape, i) =>
            xlTextEncoderNetwork(components, i === 0 ? 'first' : 'second', shape, clipSkip),
          )
        : [textEncoderNetwork(components, ids[0]!, clipSkip)]),
      unetNetwork(
        components,
        [unetBatch, in_channels, ...latents.slice(2)],
        [unetBatch, ids[0]![1]!, cross_attention_dim],
        guidanceWidth === null ? undefined : [unetBatch, guidanceWidth],
        second && {
          textEmbeds: [unetBatch, second.textEncoder.config.projection_dim],
          timeIds: [unetBatch, 6],
        },
      ),
      ...(pixels ? [encoderNetwork(components, pixels)] : []),
      decoderNetwork('VAE decoder', vae, decoded),
      ...(this.#previewVae
        ? [decoderNetwork('preview decoder', this.#previewVae, [1, ...latents.slice(1)])]
        : []),
    ];
  }

  async #run(
    network: Network,
    inputs: Readonly<Record<string, HostTensor>>,
    options: RunOptions = {},
  ): Promise<Record<string, HostTensor>> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (!this.lowMemory) {
      const executable = await abortable(this.#compiled(network), signal);
      return executable.run(inputs, options);
    }
    const result = this.#previous.then(async () => {
      signal?.throwIfAborted();
      if (!this.#cache.has(keyOf(network))) await this.#cache.dispose();
      const executable = await this.#compiled(network);
      return executable.run(inputs, options);
    });
    // Whoever asked hears of a failure; it does not keep the next from its turn.
    this.#previous = result.catch(() => undefined);
    return abortable(result, signal);
  }

  #compiled(network: Network): Promise<Executable> {
    return this.#cache.get(keyOf(network), () => {
      const { program, weights } = programOf(network, this.#loras);
      return this.#engine.compile(program, { weights, name: network.name });
    });
  }
}

function keyOf({ name, variation }: Network): string {
  return `${name} ${JSON.stringify(variation)}`;
}
