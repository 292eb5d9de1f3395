/** The networks of a model as functions from values to values; each is compiled once for every shape it meets. */
import { abortable } from '../engines/abortable.ts';
import type { Engine, Executable, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import { joined, partOf } from '../graph/batch.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import type { AppliedLora } from '../weights/lora.ts';
import type { Autoencoder } from './autoencoder.ts';
import type { Component, Components } from './components.ts';
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
import type { EncodedPicture, GenerationShapes, UNetInputs } from './network-values.ts';
import { isTiled } from './tiling.ts';

export interface NetworksOptions {
  /**
   * Low-rank adapters on the UNet and the text encoders, added up. One that is an LCM-LoRA (`Lora.isConsistency`) makes
   * a diffusion model a latent consistency model: unless a request says otherwise it draws with the LCM scheduler, 4
   * steps at guidance scale 1.
   */
  readonly loras?: readonly AppliedLora[] | undefined;
  /** Keep one network at a time: less memory, but each is loaded again whenever its turn comes. */
  readonly lowMemory?: boolean | undefined;
  /**
   * Engines that share the work on batches, as many pictures each. On a processor, engines of one thread get more done
   * than one engine of many threads. Not used with low memory.
   */
  readonly replicas?: readonly Engine[] | undefined;
  /** Bytes that there are. What needs more is refused, and large pictures are decoded in tiles; no limit by default. */
  readonly memoryLimit?: number | undefined;
  /** A small autoencoder for the same latents, for previews. */
  readonly previewVae?: Component<Autoencoder> | undefined;
}

/** An engine with what was compiled on it. */
interface Worker {
  readonly engine: Engine;
  readonly cache: ExecutableCache;
}

/** A network for batches of any size, and the size that is wanted. */
interface Batched {
  readonly of: (batch: number) => Network;
  readonly batch: number;
}

/** What is decoded at a time: with small pictures a run costs less for each of some, until a cache is full. */
const DECODED_PIXELS = 2 ** 15;

export class Networks {
  readonly lowMemory: boolean;
  readonly memoryLimit: number | undefined;
  readonly #components: Components;
  /** Does what is not shared. */
  readonly #alone: Worker;
  readonly #replicas: readonly Worker[];
  readonly #loras: readonly AppliedLora[];
  readonly #previewVae: Component<Autoencoder> | undefined;
  /** With low memory: the run before, after which the next may begin. */
  #previous: Promise<unknown> = Promise.resolve();

  constructor(components: Components, engine: Engine, options: NetworksOptions = {}) {
    this.#components = components;
    this.#loras = options.loras ?? [];
    this.#previewVae = options.previewVae;
    this.lowMemory = options.lowMemory ?? false;
    const worker = (engine: Engine): Worker => ({ engine, cache: new ExecutableCache() });
    this.#alone = worker(engine);
    this.#replicas = this.lowMemory ? [] : (options.replicas ?? []).map(worker);
    this.memoryLimit = options.memoryLimit;
  }

  /**
   * Compiles everything at once, so that the reading of one network's weights overlaps with another's graph. With low
   * memory nothing: each network is compiled when its turn comes.
   */
  async prepare(shapes: GenerationShapes, { signal }: RunOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.lowMemory) return;
    const shared = this.#networksFor(shapes).flatMap((network) => {
      const workers = this.#workersFor(network.batch);
      return workers.map((worker) =>
        compiled(worker, network.of(network.batch / workers.length), this.#loras),
      );
    });
    const pictures = shapes.latents[0]!;
    const decoders = isTiled(shapes.latents, shapes.decoded) ? [this.#alone] : this.#workersForEach(pictures);
    const decoding = this.#decodersFor(shapes, pictures).flatMap((network) =>
      decoders.map((worker) => compiled(worker, network, this.#loras)),
    );
    await abortable(Promise.all([...shared, ...decoding]), signal);
  }

  /** The programs that a generation runs, by name. Throws InputError when weights are missing; reads none. */
  programs(shapes: GenerationShapes): Map<string, Program> {
    const networks = this.#networksFor(shapes).map(({ of, batch }) => of(batch));
    return new Map(
      [...networks, ...this.#decodersFor(shapes, 1)].map((network) => [
        network.name,
        programOf(network, this.#loras).program,
      ]),
    );
  }

  /**
   * The states that the UNet attends to. ids: [B, L] int64 → [B, L, D].
   * clipSkip: how many of the last layers to leave out.
   */
  async encodeText(ids: HostTensor, clipSkip: number, options?: RunOptions): Promise<HostTensor> {
    const network = this.#textEncoder(ids.shape, clipSkip);
    const { states } = await this.#runShared(network, { ids }, options);
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
    const { states, pooled } = await this.#runShared(network, { ids }, options);
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
    const { prediction } = await this.#runShared(network, inputs, options);
    return prediction!;
  }

  /** pixels: [1, 3, H, W] in [−1, 1] → what the autoencoder's encoder says, [1, C, h, w]. */
  async encode(pixels: HostTensor, options?: RunOptions): Promise<EncodedPicture> {
    const network = encoderNetwork(this.#components, pixels.shape);
    const { mean, deviation } = await this.#run(this.#alone, network, { pixels }, options);
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
    return network ? this.#run(this.#alone, network, { latents }, options) : {};
  }

  /** latents of a tile, [1, C, h, w], and the statistics of its picture → pixels [1, 3, H, W]. */
  async decodeTile(
    latents: HostTensor,
    statistics: Readonly<Record<string, HostTensor>>,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const network = tileDecoderNetwork(this.#components.vae, latents.shape);
    const { pixels } = await this.#run(this.#alone, network, { latents, ...statistics }, options);
    return pixels!;
  }

  /** The same by the autoencoder for previews; undefined when there is none. */
  decodePreview(latents: HostTensor, options?: RunOptions): Promise<HostTensor> | undefined {
    return this.#previewVae && this.#decodeEach('preview decoder', this.#previewVae, latents, options);
  }

  async dispose(): Promise<void> {
    await Promise.all([this.#alone, ...this.#replicas].map(({ cache }) => cache.dispose()));
  }

  async #decodeEach(
    name: string,
    vae: Component<Autoencoder>,
    latents: HostTensor,
    options?: RunOptions,
  ): Promise<HostTensor> {
    const [batch, ...rest] = latents.shape as [number, number, number, number];
    const workers = this.#workersForEach(batch);
    const network = this.#decoder(name, vae, rest, batch);
    const runs = batch / network.batch;
    const parts = new Array<HostTensor>(runs);
    const decodeWith = async (worker: Worker, first: number) => {
      for (let i = first; i < runs; i += workers.length) {
        const inputs = { latents: partOf(latents, i, runs) };
        const { pixels } = await this.#run(worker, network.of(network.batch), inputs, options);
        parts[i] = pixels!;
      }
    };
    await Promise.all(workers.map(decodeWith));
    return joined(parts);
  }

  #networksFor({ ids, latents, pixels, unetBatch, clipSkip }: GenerationShapes): Batched[] {
    const { unet, second } = this.#components;
    const { time_cond_proj_dim: guidanceWidth, in_channels, cross_attention_dim } = unet.config;
    return [
      ...(second
        ? ids.map((shape, i) => this.#xlTextEncoder(i === 0 ? 'first' : 'second', shape, clipSkip))
        : [this.#textEncoder(ids[0]!, clipSkip)]),
      this.#unet(
        [unetBatch, in_channels, ...latents.slice(2)],
        [unetBatch, ids[0]![1]!, cross_attention_dim],
        guidanceWidth === null ? undefined : [unetBatch, guidanceWidth],
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
    const workers = this.#workersForEach(pictures).length;
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

  /** Who runs a batch: the replicas if it can be shared among them equally. */
  #workersFor(batch: number): readonly Worker[] {
    const count = this.#replicas.length;
    return count > 0 && batch % count === 0 ? this.#replicas : [this.#alone];
  }

  /** Who works on pictures one by one. */
  #workersForEach(pictures: number): readonly Worker[] {
    return this.#replicas.length > 0 && pictures > 1 ? this.#replicas : [this.#alone];
  }

  /** inputs: each with the batch for its first axis. */
  async #runShared(
    { of, batch }: Batched,
    inputs: Readonly<Record<string, HostTensor>>,
    options?: RunOptions,
  ): Promise<Record<string, HostTensor>> {
    const workers = this.#workersFor(batch);
    const results = await Promise.all(
      workers.map((worker, i) => {
        const own = Object.entries(inputs).map(([name, tensor]) => [name, partOf(tensor, i, workers.length)]);
        return this.#run(worker, of(batch / workers.length), Object.fromEntries(own), options);
      }),
    );
    const names = Object.keys(results[0]!);
    return Object.fromEntries(names.map((name) => [name, joined(results.map((result) => result[name]!))]));
  }

  async #run(
    worker: Worker,
    network: Network,
    inputs: Readonly<Record<string, HostTensor>>,
    options: RunOptions = {},
  ): Promise<Record<string, HostTensor>> {
    const { signal } = options;
    signal?.throwIfAborted();
    if (!this.lowMemory) {
      const executable = await abortable(compiled(worker, network, this.#loras), signal);
      return executable.run(inputs, options);
    }
    const result = this.#previous.then(async () => {
      signal?.throwIfAborted();
      if (!worker.cache.has(keyOf(network))) await worker.cache.dispose();
      const executable = await compiled(worker, network, this.#loras);
      return executable.run(inputs, options);
    });
    // Whoever asked hears of a failure; it does not keep the next from its turn.
    this.#previous = result.catch(() => undefined);
    return abortable(result, signal);
  }
}

function compiled(
  { engine, cache }: Worker,
  network: Network,
  loras: readonly AppliedLora[],
): Promise<Executable> {
  return cache.get(keyOf(network), () => {
    const { program, weights } = programOf(network, loras);
    return engine.compile(program, { weights, name: network.name });
  });
}

function keyOf({ name, variation }: Network): string {
  return `${name} ${JSON.stringify(variation)}`;
}
