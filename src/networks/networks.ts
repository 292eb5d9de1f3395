/** The networks of a model as functions from values to values; each is compiled once for every shape it meets. */

import type { Autoencoder } from '../components/autoencoder.ts';
import type { Component, Components } from '../components/components.ts';
import type { Engine, RunOptions } from '../engines/engine.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import {
  decoderNetwork,
  decoderStatisticsNetwork,
  denoiserNetwork,
  encoderNetwork,
  textEncoderNetwork,
  tileDecoderNetwork,
  xlTextEncoderNetwork,
} from './model-networks.ts';
import {
  float32,
  type Network,
  type NetworkRole,
  programOf,
  type Specs,
  specsOf,
  type Tensors,
} from './network.ts';
import { NetworkRunner, type RunnerOptions } from './runner.ts';
import { TextStates } from './text-states.ts';
import { isTiled } from './tiling.ts';
import type { EncodedPicture, GenerationShapes, UNetInputs } from './values.ts';

/** What the networks of a pipeline may take. */
export interface NetworksOptions extends RunnerOptions {
  /** Bytes that there are. What needs more is refused, and large pictures are decoded in tiles; no limit by default. */
  readonly memoryLimit?: number | undefined;
  /**
   * Let go of the text encoders once the prompts of a request are encoded, before the UNet is loaded: less memory for
   * those who draw few prompts. States of prompts are remembered in any case. Default: they are kept.
   */
  readonly releaseTextEncoders?: boolean | undefined;
}

interface PreviewOptions {
  /** A small autoencoder for the same latents, for previews. */
  readonly previewVae?: Component<Autoencoder> | undefined;
}

/** What is decoded at a time: with small pictures a run costs less for each of some, until a cache is full. */
const DECODED_PIXELS = 2 ** 15;

export class Networks {
  readonly memoryLimit: number | undefined;
  /** Whether prompts are encoded before the other networks are prepared, and text encoders let go. */
  readonly releaseTextEncoders: boolean;
  readonly #textStates = new TextStates();
  readonly #components: Components;
  readonly #runner: NetworkRunner;
  readonly #previewVae: Component<Autoencoder> | undefined;

  constructor(components: Components, engine: Engine, options: NetworksOptions & PreviewOptions = {}) {
    this.#components = components;
    this.#runner = new NetworkRunner(engine, options);
    this.#previewVae = options.previewVae;
    this.memoryLimit = options.memoryLimit;
    this.releaseTextEncoders = options.releaseTextEncoders ?? false;
  }

  /** Whether one network is held at a time, and of a large one only a part. */
  get lowMemory(): boolean {
    return this.#runner.lowMemory;
  }

  /** About the most bytes of weights of a network that are held with low memory; undefined where it is all of them. */
  get streamedBytes(): number | undefined {
    return this.#runner.streamedBytes;
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
    await Promise.all([
      ...this.#callsFor(shapes)
        .filter(({ network }) => !(this.releaseTextEncoders && isTextEncoder(network)))
        .map(({ network, specs }) => this.#runner.compileShared(network, specs, { signal })),
      ...this.#decodingFor(shapes, pictures).map(({ network, specs }) =>
        this.#runner.compileEach(network, specs, sharedPictures, { signal }),
      ),
    ]);
  }

  /** The programs that a generation runs, by role. Throws InputError when weights are missing; reads none. */
  programs(shapes: GenerationShapes): Map<NetworkRole, NamedProgram> {
    const calls = [...this.#callsFor(shapes), ...this.#decodingFor(shapes, 1)];
    return new Map(
      calls.map(({ network, specs }) => {
        const { program } = programOf(network, specs, this.#runner.adaptation);
        return [network.role, { name: network.name, program }];
      }),
    );
  }

  /**
   * The states that the UNet attends to. ids: [B, L] int64 → [B, L, D].
   * clipSkip: how many of the last layers to leave out.
   */
  async encodeText(ids: HostTensor, clipSkip: number, options?: RunOptions): Promise<HostTensor> {
    const { states } = await this.#encode(textEncoderNetwork(this.#components, clipSkip), ids, options);
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
    const network = xlTextEncoderNetwork(this.#components, which, clipSkip);
    const { states, pooled } = await this.#encode(network, ids, options);
    return { states: states!, pooled };
  }

  /** What the UNet predicts, [B, C, h, w]. */
  async predict(
    { sample, timestep, states, guidance, added }: UNetInputs,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const batch = sample.shape[0]!;
    const timesteps = hostTensor(new Float32Array(batch).fill(timestep), [batch]);
    const inputs = { sample, timesteps, states, ...(guidance && { guidance }), ...added };
    const network = denoiserNetwork(this.#components);
    const { prediction } = await this.#runner.callShared(network, inputs, options);
    return prediction!;
  }

  /** pixels: [1, 3, H, W] in [−1, 1] → what the autoencoder's encoder says, [1, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<EncodedPicture> {
    const network = encoderNetwork(this.#components.vae);
    const { mean, deviation } = await this.#runner.call(network, { pixels }, options);
    return { mean: mean!, deviation };
  }

  /**
   * latents, as the UNet sees them: [B, C, h, w] → pixels [B, 3, H, W], about in [−1, 1] and not clamped. Large
   * pictures one after the other: together they are not faster, but take as many times the memory.
   */
  decode(latents: HostTensor, options?: RunOptions): Promise<HostTensor> {
    return this.#decodeEach(decoderNetwork(this.#components.vae), this.#components.vae, latents, options);
  }

  /** What tiles are normalised by: the statistics of a whole picture, small enough to be decoded in one piece. */
  async decoderStatistics(latents: HostTensor, options?: RunOptions): Promise<Tensors> {
    const network = decoderStatisticsNetwork(this.#components.vae);
    return network ? this.#runner.call(network, { latents }, options) : {};
  }

  /** latents of a tile, [1, C, h, w], and the statistics of its picture → pixels [1, 3, H, W]. */
  async decodeTile(latents: HostTensor, statistics: Tensors, options?: RunOptions): Promise<HostTensor> {
    const network = tileDecoderNetwork(this.#components.vae);
    const { pixels } = await this.#runner.call(network, { latents, ...statistics }, options);
    return pixels!;
  }

  /** The same by the autoencoder for previews; undefined when there is none. */
  decodePreview(latents: HostTensor, options?: RunOptions): Promise<HostTensor> | undefined {
    const vae = this.#previewVae;
    return vae && this.#decodeEach(decoderNetwork(vae, 'preview-decoder'), vae, latents, options);
  }

  /** Rejects with `reason`, at once, whoever waits for a network or asks for one later; frees the networks. */
  async dispose(reason: Error = new Error('the networks were disposed of')): Promise<void> {
    await this.#runner.dispose(reason);
  }

  #encode(network: Network, ids: HostTensor, options?: RunOptions): Promise<Tensors> {
    return this.#textStates.of(network, ids, async () => {
      const states = await this.#runner.callShared(network, { ids }, options);
      if (this.releaseTextEncoders) await this.#runner.release(network, { ids });
      return states;
    });
  }

  async #decodeEach(
    network: Network,
    vae: Component<Autoencoder>,
    latents: HostTensor,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const atOnce = this.#decodedAtOnce(vae, latents.shape);
    const { pixels } = await this.#runner.callEach(network, atOnce, { latents }, options);
    return pixels!;
  }

  /** The calls of a generation before its pictures are decoded. */
  #callsFor({ ids, latents, pixels, unetBatch, clipSkip }: GenerationShapes): Call[] {
    const model = this.#components;
    const { guidanceWidth, latentChannels, furtherChannels, contextWidth } = model.unet.config;
    const text = (network: Network, shape: Shape): Call => ({
      network,
      specs: { ids: { shape, dtype: 'int64' } },
    });
    const told = {
      sample: [unetBatch, latentChannels + furtherChannels, ...latents.slice(2)],
      timesteps: [unetBatch],
      states: [unetBatch, ids[0]![1]!, contextWidth],
      ...(guidanceWidth !== undefined && { guidance: [unetBatch, guidanceWidth] }),
      ...(model.second && {
        textEmbeds: [unetBatch, model.second.textEncoder.config.projection_dim],
        timeIds: [unetBatch, 6],
      }),
    };
    const specs = Object.fromEntries(Object.entries(told).map(([name, shape]) => [name, float32(shape)]));
    return [
      ...(model.second
        ? ids.map((shape, i) =>
            text(xlTextEncoderNetwork(model, i === 0 ? 'first' : 'second', clipSkip), shape),
          )
        : [text(textEncoderNetwork(model, clipSkip), ids[0]!)]),
      { network: denoiserNetwork(model), specs },
      ...(pixels ? [{ network: encoderNetwork(model.vae), specs: { pixels: float32(pixels) } }] : []),
    ];
  }

  /** The calls that decode pictures, each for as many as are decoded at a time. */
  #decodingFor({ latents, decoded }: GenerationShapes, pictures: number): Call[] {
    const { vae } = this.#components;
    const all = [pictures, ...latents.slice(1)];
    const whole = (network: Network, from: Component<Autoencoder>): Call => {
      const atOnce = this.#decodedAtOnce(from, all);
      return { network, specs: { latents: float32([atOnce, ...latents.slice(1)]) } };
    };
    return [
      ...(isTiled(latents, decoded) ? this.#tilesFor(decoded) : [whole(decoderNetwork(vae), vae)]),
      ...(this.#previewVae
        ? [whole(decoderNetwork(this.#previewVae, 'preview-decoder'), this.#previewVae)]
        : []),
    ];
  }

  /** decoded: of a tile, [1, C, h, w]. */
  #tilesFor(decoded: Shape): Call[] {
    const { vae } = this.#components;
    const specs = { latents: float32(decoded) };
    const network = decoderStatisticsNetwork(vae);
    const statistics = network && Object.fromEntries(programOf(network, specs).program.outputs);
    return [
      ...(network ? [{ network, specs }] : []),
      { network: tileDecoderNetwork(vae), specs: { ...specs, ...specsOf(statistics ?? {}) } },
    ];
  }

  /** As many pictures as are best decoded together. latents: of all of them, [B, C, h, w] */
  #decodedAtOnce({ config }: Component<Autoencoder>, latents: Shape): number {
    const [pictures, , height, width] = latents as [number, number, number, number];
    const workers = this.#runner.sharing(pictures);
    const pixels = height * width * config.factor ** 2;
    let atOnce = Math.max(1, Math.min(pictures, Math.floor(DECODED_PIXELS / pixels)));
    while (atOnce > 1 && pictures % (atOnce * workers) !== 0) atOnce--;
    return atOnce;
  }
}

function isTextEncoder({ role }: Network): boolean {
  return role === 'text-encoder' || role === 'second-text-encoder';
}

/** A call as far as its program depends on it. */
interface Call {
  readonly network: Network;
  readonly specs: Specs;
}

export interface NamedProgram {
  /** For messages: `UNet`. */
  readonly name: string;
  readonly program: Program;
}
