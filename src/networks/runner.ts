/** Who runs a network: one engine, or several that share a batch. Each keeps what it compiled, by its shapes. */
import { abortable, firstOf } from '../engines/abortable.ts';
import type { Engine, Executable, RunOptions } from '../engines/engine.ts';
import { ExecutableCache } from '../engines/executable-cache.ts';
import { joined, partOf } from '../graph/batch.ts';
import type { Quantization } from '../graph/quantize.ts';
import type { AppliedLora } from '../weights/lora.ts';
import { sizeOfBound } from '../weights/weights.ts';
import { allFinite, notFinite } from './finite.ts';
import {
  type Adaptation,
  keyOf,
  type Network,
  programOf,
  type Specs,
  specsOf,
  type TensorSpec,
  type Tensors,
} from './network.ts';

/** How networks are compiled and shared out. */
export interface RunnerOptions {
  /**
   * Low-rank adapters on the UNet and the text encoders, added up. One that is an LCM-LoRA (`Lora.isConsistency`) makes
   * a diffusion model a latent consistency model: unless a request says otherwise it draws with the LCM scheduler, 4
   * steps at guidance scale 1.
   */
  readonly loras?: readonly AppliedLora[] | undefined;
  /**
   * Hold the large weights of the UNet and the text encoders in 8 bits: a quarter of the memory, and pictures that differ
   * a little. Default: float32.
   */
  readonly quantize?: Quantization | undefined;
  /**
   * Keep one network at a time, and of a large one only the part that computes: less memory, but each is loaded again
   * whenever its turn comes, and the UNet in every step. With the engine's `compiledCache` that takes little time.
   */
  readonly lowMemory?: boolean | undefined;
  /**
   * Engines that share the work on batches, as many pictures each. On a processor, engines of one thread get more done
   * than one engine of many threads. Not used with low memory.
   */
  readonly replicas?: readonly Engine[] | undefined;
  /** Hears how far the reading of weights is, from the first network that a drawing waits for to the last. */
  readonly onWeights?: ((progress: WeightsProgress) => void) | undefined;
}

/** How far the reading of weights is. */
export interface WeightsProgress {
  /** The network that some of them belong to: `UNet`. */
  readonly network: string;
  /** Bytes: of all networks that are being made ready, those that are, and how many there are. */
  readonly done: number;
  readonly total: number;
}

/** An engine with what was compiled on it. */
interface Worker {
  readonly engine: Engine;
  readonly cache: ExecutableCache;
}

/** Calls networks with values; it compiles them for the shapes that it meets, and keeps what it compiled. */
export class NetworkRunner {
  readonly lowMemory: boolean;
  readonly loras: readonly AppliedLora[];
  readonly #quantize: Quantization | undefined;
  /** The worker that does what is not shared. */
  readonly #alone: Worker;
  readonly #replicas: readonly Worker[];
  /** With low memory: the run before, after which the next may begin. */
  #previous: Promise<unknown> = Promise.resolve();
  readonly #disposal = new AbortController();
  readonly #onWeights: RunnerOptions['onWeights'];
  /** Bytes of the weights of all networks that are being compiled. */
  #reading = { compiling: 0, done: 0, total: 0 };

  constructor(
    engine: Engine,
    { loras = [], quantize, lowMemory = false, replicas = [], onWeights }: RunnerOptions = {},
  ) {
    this.#onWeights = onWeights;
    const cache = () => (lowMemory ? new ExecutableCache(1) : new ExecutableCache());
    const worker = (engine: Engine): Worker => ({ engine, cache: cache() });
    this.lowMemory = lowMemory;
    this.loras = loras;
    this.#quantize = quantize;
    this.#alone = worker(engine);
    this.#replicas = lowMemory ? [] : replicas.map(worker);
  }

  /** What is made of the weights of its networks. */
  get adaptation(): Adaptation {
    return { loras: this.loras, quantize: this.#quantize };
  }

  /** See `Engine.streamedBytes`. */
  get streamedBytes(): number | undefined {
    return this.#alone.engine.streamedBytes;
  }

  /** How many share the work on pictures that are taken one by one. */
  sharing(pictures: number): number {
    return this.#workersForEach(pictures).length;
  }

  /** Compiles for a `callShared` with such inputs. */
  async compileShared(network: Network, specs: Specs, { signal }: RunOptions = {}): Promise<void> {
    const workers = this.#workersFor(batchOf(specs));
    const share = shareOf(specs, workers.length);
    await Promise.all(workers.map((worker) => this.#compiled(worker, network, share, signal)));
  }

  /** Compiles for a `callEach` with as many pictures, of which each run takes such inputs; for `call` with one. */
  async compileEach(
    network: Network,
    specs: Specs,
    pictures: number,
    { signal }: RunOptions = {},
  ): Promise<void> {
    const workers = this.#workersForEach(pictures);
    await Promise.all(workers.map((worker) => this.#compiled(worker, network, specs, signal)));
  }

  /** A network that is not shared. */
  call(network: Network, inputs: Tensors, options?: RunOptions): Promise<Tensors> {
    return this.#run(this.#alone, network, inputs, options);
  }

  /** A batch at once, by all if they can share it equally. inputs: each with the batch for its first axis. */
  async callShared(network: Network, inputs: Tensors, options?: RunOptions): Promise<Tensors> {
    const workers = this.#workersFor(batchOf(inputs));
    const results = await Promise.all(
      workers.map((worker, i) => this.#run(worker, network, part(inputs, i, workers.length), options)),
    );
    return together(results);
  }

  /** Lets go of what was compiled for such a `callShared`, unless somebody uses it; done when it is gone. */
  async release(network: Network, inputs: Specs): Promise<void> {
    const workers = this.#workersFor(batchOf(inputs));
    const key = keyOf(network, shareOf(specsOf(inputs), workers.length));
    await Promise.all(workers.map(({ cache }) => cache.letGo(key)));
  }

  /** A batch, `atOnce` pictures of it at a time, one after the other by each of those who share them. */
  async callEach(network: Network, atOnce: number, inputs: Tensors, options?: RunOptions): Promise<Tensors> {
    const pictures = batchOf(inputs);
    const workers = this.#workersForEach(pictures);
    const runs = pictures / atOnce;
    const results = new Array<Tensors>(runs);
    const workThrough = async (worker: Worker, first: number) => {
      for (let i = first; i < runs; i += workers.length)
        results[i] = await this.#run(worker, network, part(inputs, i, runs), options);
    };
    await Promise.all(workers.map(workThrough));
    return together(results);
  }

  /** Rejects with `reason`, at once, whoever waits for a network or asks for one later; frees what was compiled. */
  async dispose(reason: Error): Promise<void> {
    this.#disposal.abort(reason);
    await Promise.all([this.#alone, ...this.#replicas].map(({ cache }) => cache.dispose()));
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

  #run(worker: Worker, network: Network, inputs: Tensors, options: RunOptions = {}): Promise<Tensors> {
    return this.#heeding(options.signal, (signal) => {
      const run = () =>
        this.#use(worker, network, specsOf(inputs), signal, async (executable) => {
          const outputs = await executable.run(inputs, { signal });
          if (Object.values(outputs).every(({ data }) => allFinite(data))) return outputs;
          throw await notFinite(worker.engine, network, this.loras, inputs);
        });
      return this.lowMemory ? this.#inTurn(run) : run();
    });
  }

  /** Compiles a network that is to be run soon. */
  #compiled(worker: Worker, network: Network, specs: Specs, stop: AbortSignal | undefined): Promise<void> {
    return this.#heeding(stop, (signal) => this.#use(worker, network, specs, signal, async () => {}));
  }

  /** Work that the signal and `dispose` reject at once. */
  async #heeding<T>(stop: AbortSignal | undefined, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
    const { signal, release } = firstOf(stop, this.#disposal.signal);
    try {
      return await abortable(work(signal), signal);
    } finally {
      release();
    }
  }

  #use<T>(
    { engine, cache }: Worker,
    network: Network,
    specs: Specs,
    signal: AbortSignal,
    work: (executable: Executable) => Promise<T>,
  ): Promise<T> {
    const compile = async (unwanted: AbortSignal) => {
      const { program, weights } = programOf(network, specs, this.adaptation);
      return this.#watched(network.name, sizeOfBound(program, weights), (onWeights) =>
        engine.compile(program, {
          weights,
          name: network.name,
          signal: unwanted,
          onWeights,
          streamed: this.lowMemory,
        }),
      );
    };
    return cache.use(keyOf(network, specs), compile, work, signal);
  }

  /** Tells how far the compiling of a network with so many bytes of weights is, together with the others. */
  async #watched<T>(
    network: string,
    bytes: number,
    compile: (onWeights: (bytes: number) => void) => Promise<T>,
  ): Promise<T> {
    const reading = this.#reading;
    reading.compiling++;
    reading.total += bytes;
    let left = bytes;
    const advance = (more: number) => {
      const ready = Math.min(left, more);
      left -= ready;
      reading.done += ready;
      if (ready > 0) this.#onWeights?.({ network, done: reading.done, total: reading.total });
    };
    try {
      const compiled = await compile(advance);
      advance(left);
      return compiled;
    } finally {
      // The next that is asked for counts anew once nothing is under way.
      if (--reading.compiling === 0) this.#reading = { compiling: 0, done: 0, total: 0 };
    }
  }

  /** After all that were asked for before. */
  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#previous.then(work);
    // Whoever asked hears of a failure; it does not keep the next from its turn.
    this.#previous = result.catch(() => undefined);
    return result;
  }
}

/** The first axis of all inputs. */
function batchOf(inputs: Readonly<Record<string, TensorSpec>>): number {
  return Object.values(inputs)[0]!.shape[0]!;
}

/** What each of `count` gets of the batch. */
function shareOf(specs: Specs, count: number): Specs {
  const share = ({ shape: [batch, ...rest], dtype }: TensorSpec) => ({
    shape: [batch! / count, ...rest],
    dtype,
  });
  return Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, share(spec)]));
}

/** Part `i` of `count` of every tensor, along the first axis. */
function part(inputs: Tensors, i: number, count: number): Tensors {
  return Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, partOf(tensor, i, count)]));
}

/** The outputs of all parts, one after the other along the first axis. */
function together(results: readonly Tensors[]): Tensors {
  const names = Object.keys(results[0]!);
  return Object.fromEntries(names.map((name) => [name, joined(results.map((result) => result[name]!))]));
}
