/** The networks of a model as functions from values to values; each is compiled once for every shape it meets. */

import type { Autoencoder } from '../components/autoencoder.ts';
import type { Component, Components } from '../components/components.ts';
import { abortable } from '../engines/abortable.ts';
import type { Engine, RunOptions } from '../engines/engine.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import {
  type AddedShapes,
  decoderNetwork,
  decoderStatisticsNetwork,
  encoderNetwork,
  type Network,
  programOf,
  textEncoderNetwork,
  tileDecoderNetwork,
  unetNetwork,
  xlTextEncoderNetwork,
} from './network-programs.ts';
import { type Batched, NetworkRunner, type RunnerOptions } from './network-runner.ts';
import type { EncodedPicture, GenerationShapes, UNetInputs } from './network-values.ts';
import { isTiled } from './tiling.ts';

export interface NetworksOptions extends RunnerOptions {
  /** Bytes that there are. What needs more is refused, and large pictures are decoded in tiles; no limit by default. */
  readonly memoryLimit?: number | undefined;
  /** A small autoencoder for the same latents, for previews. */
  readonly previewVae?: Component<Autoencoder> | undefined;
}

/** What is decoded at a time: with small pictures a run costs less for each of some, until a cache is full. */
const DECODED_PIXELS = 2 ** 15;

export class Networks {
  readonly memoryLimit: number | undefined;
  readonly #components: Components;
  readonly #runner: NetworkRunner;
  readonly #previewVae: Component<Autoencoder> | undefined;

  constructor(components: Components, engine: Engine, options: NetworksOptions = {}) {
    this.#components = components;
    this.#runner = new NetworkRunner(engine, options);
    this.#previewVae = options.previewVae;
    this.memoryLimit = options.memoryLimit;
  }

  /** Whether one network is held at a time. */
  get lowMemory(): boolean {
    return this.#runner.lowMemory;
  }

  /**
   * Compiles everything at once, so that the reading of one network's weights overlaps with another's graph. With low
   * memory nothing: each network is compiled when its turn comes.
   */
  async prepare(shapes: GenerationShapes, { signal }: RunOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.lowMemory) return;
    const pictures = shapes.latents[0]!;
    // Tiles are decoded by one engine, one after the other.
    const sharedPictures = isTiled(shapes.latents, shapes.decoded) ? 1 : pictures;
    const compiled = Promise.all([
      ...this.#networksFor(shapes).map((network) => this.#runner.compileShared(network)),
      ...this.#decodersFor(shapes, pictures).map((network) =>
        this.#runner.compileEach(network, sharedPictures),
      ),
    ]);
    await abortable(compiled, signal);
  }

  /** The programs that a generation runs, by name. Throws InputError when weights are missing; reads none. */
  programs(shapes: GenerationShapes): Map<string, Program> {
    const networks = this.#networksFor(shapes).map(({ of, batch }) => of(batch));
    return new Map(
      [...networks, ...this.#decodersFor(shapes, 1)].map((network) => [
        network.name,
        programOf(network, this.#runner.loras).program,
      ]),
    );
  }

  /**
   * The states that the UNet attends to. ids: [B, L] int64 → [B, L, D].
   * clipSkip: how many of the last layers to leave out.
   */
  async encodeText(ids: HostTensor, clipSkip: number, options?: RunOptions): Promise<HostTensor> {
    const network = this.#textEncoder(ids.shape, clipSkip);
    const { states } = await this.#runner.runShared(network, { ids }, options);
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
    const network = this.#xlTextEncoder(which, ids.shape, clipSkip);
    const { states, pooled } = await this.#runner.runShared(network, { ids }, options);
    return { states: states!, pooled };
  }

  /** What the UNet predicts, [B, C, h, w]. */
  async predict(
    { sample, timestep, states, guidance, added }: UNetInputs,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const addedShapes = added && { textEmbeds: added.textEmbeds.shape, timeIds: added.timeIds.shape };
    const network = this.#unet(sample.shape, states.shape, guidance?.shape, addedShapes);
    const { batch } = network;
    const timesteps = hostTensor(new Float32Array(batch).fill(timestep), [batch]);
    const inputs = { sample, timesteps, states, ...(guidance && { guidance }), ...added };
    const { prediction } = await this.#runner.runShared(network, inputs, options);
    return prediction!;
  }

  /** pixels: [1, 3, H, W] in [−1, 1] → what the autoencoder's encoder says, [1, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<EncodedPicture> {
    const network = encoderNetwork(this.#components, pixels.shape);
    const { mean, deviation } = await this.#runner.run(network, { pixels }, options);
    return { mean: mean!, deviation };
  }

  /**
   * latents, as the UNet sees them: [B, C, h, w] → pixels [B, 3, H, W], about in [−1, 1] and not clamped. Large
   * pictures one after the other: together they are not faster, but take as many times the memory.
   */
  decode(latents: HostTensor, options?: RunOptions): Promise<HostTensor> {
    return this.#decodeEach('VAE decoder', this.#components.vae, latents, options);
  }

  /** What tiles are normalised by: the statistics of a whole picture, small enough to be decoded in one piece. */
  async decoderStatistics(
    latents: HostTensor,
    options?: RunOptions,
  ): Promise<Readonly<Record<string, HostTensor>>> {
    const network = decoderStatisticsNetwork(this.#components.vae, latents.shape);
    return network ? this.#runner.run(network, { latents }, options) : {};
  }

  /** latents of a tile, [1, C, h, w], and the statistics of its picture → pixels [1, 3, H, W]. */
  async decodeTile(
    latents: HostTensor,
    statistics: Readonly<Record<string, HostTensor>>,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const network = tileDecoderNetwork(this.#components.vae, latents.shape);
    const { pixels } = await this.#runner.run(network, { latents, ...statistics }, options);
    return pixels!;
  }

  /** The same by the autoencoder for previews; undefined when there is none. */
  decodePreview(latents: HostTensor, options?: RunOptions): Promise<HostTensor> | undefined {
    return this.#previewVae && this.#decodeEach('preview decoder', this.#previewVae, latents, options);
  }

  /** Rejects with `reason`, at once, whoever waits for a network or asks for one later; frees the networks. */
  async dispose(reason: Error = new Error('the networks were disposed of')): Promise<void> {
    await this.#runner.dispose(reason);
  }

  async #decodeEach(
    name: string,
    vae: Component<Autoencoder>,
    latents: HostTensor,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const [batch, ...rest] = latents.shape as [number, number, number, number];
    const network = this.#decoder(name, vae, rest, batch);
    const { pixels } = await this.#runner.runEach(network, batch, { latents }, options);
    return pixels!;
  }

  #networksFor({ ids, latents, pixels, unetBatch, clipSkip }: GenerationShapes): Batched[] {
    const { unet, second } = this.#components;
    const { guidanceWidth, latentChannels, furtherChannels, contextWidth } = unet.config;
    return [
      ...(second
        ? ids.map((shape, i) => this.#xlTextEncoder(i === 0 ? 'first' : 'second', shape, clipSkip))
        : [this.#textEncoder(ids[0]!, clipSkip)]),
      this.#unet(
        [unetBatch, latentChannels + furtherChannels, ...latents.slice(2)],
        [unetBatch, ids[0]![1]!, contextWidth],
        guidanceWidth === undefined ? undefined : [unetBatch, guidanceWidth],
        second && {
          textEmbeds: [unetBatch, second.textEncoder.config.projection_dim],
          timeIds: [unetBatch, 6],
        },
      ),
      ...(pixels ? [{ of: () => encoderNetwork(this.#components, pixels), batch: 1 }] : []),
    ];
  }

  #decodersFor(shapes: GenerationShapes, pictures: number): Network[] {
    const { latents, decoded } = shapes;
    const { vae } = this.#components;
    const whole = (name: string, from: Component<Autoencoder>) => {
      const { of, batch } = this.#decoder(name, from, latents.slice(1), pictures);
      return of(batch);
    };
    const tiled = isTiled(latents, decoded);
    const statistics = tiled ? decoderStatisticsNetwork(vae, decoded) : undefined;
    return [
      ...(statistics ? [statistics] : []),
      tiled ? tileDecoderNetwork(vae, decoded) : whole('VAE decoder', vae),
      ...(this.#previewVae ? [whole('preview decoder', this.#previewVae)] : []),
    ];
  }

  /** For as many of the pictures at a time as are best decoded together. latents: [C, h, w] */
  #decoder(name: string, vae: Component<Autoencoder>, latents: Shape, pictures: number): Batched {
    const pixels = latents[1]! * latents[2]! * vae.config.factor ** 2;
    const workers = this.#runner.sharing(pictures);
    const atMost = Math.max(1, Math.min(pictures, Math.floor(DECODED_PIXELS / pixels)));
    let batch = atMost;
    while (batch > 1 && pictures % (batch * workers) !== 0) batch--;
    return { of: (share) => decoderNetwork(name, vae, [share, ...latents]), batch };
  }

  #textEncoder([batch, ...rest]: Shape, clipSkip: number): Batched {
    const of = (share: number) => textEncoderNetwork(this.#components, [share, ...rest], clipSkip);
    return { of, batch: batch! };
  }

  #xlTextEncoder(which: 'first' | 'second', [batch, ...rest]: Shape, clipSkip: number): Batched {
    const of = (share: number) => xlTextEncoderNetwork(this.#components, which, [share, ...rest], clipSkip);
    return { of, batch: batch! };
  }

  #unet(sample: Shape, states: Shape, guidance: Shape | undefined, added: AddedShapes | undefined): Batched {
    const of = (share: number) => {
      const sized = (shape: Shape): Shape => [share, ...shape.slice(1)];
      return unetNetwork(
        this.#components,
        sized(sample),
        sized(states),
        guidance && sized(guidance),
        added && { textEmbeds: sized(added.textEmbeds), timeIds: sized(added.timeIds) },
      );
    };
    return { of, batch: sample[0]! };
  }
}
