/// <reference lib="esnext.disposable" preserve="true" />
/** Programs on ONNX Runtime in Node: on the CPU, or on whatever device its build supports. */
import { availableParallelism } from 'node:os';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { type Program, program } from '../../graph/program.ts';
import { segments } from '../../graph/segments.ts';
import { elementCount } from '../../graph/shape.ts';
import { input } from '../../graph/tensor.ts';
import { storedBytes } from '../../weights/load-tensors.ts';
import { sizeOfBound } from '../../weights/weights.ts';
import { checkKept } from '../check-inputs.ts';
import { compileSegments } from '../compile-segments.ts';
import type { CompileOptions, Executable, KeepingEngine, KeepingExecutable } from '../engine.ts';
import { type OnnxModel, serialize } from '../onnx/serialize.ts';
import { segmented, streamed } from '../segmented.ts';
import { BufferPool } from '../thread/buffer-pool.ts';
import type { ThreadTensor } from '../thread/device-tensor.ts';
import { named, ThreadExecutable } from '../thread/executable.ts';
import type { CommonResult } from '../thread/messages.ts';
import { turn } from '../thread/turn.ts';
import { WorkerClient } from '../thread/worker-client.ts';
import { CompiledCache, cacheKey, WEIGHTS } from './compiled-cache.ts';
import type { ExternalValue, Request, SessionSettings } from './messages.ts';
import { turnTelemetryOff } from './telemetry.ts';
import { type WeightFiles, weightFiles } from './weight-files.ts';

/** What computes; which of them work here, `lcm doctor` says. */
export type NodeDevice = 'cpu' | 'webgpu' | 'cuda' | 'coreml' | 'dml';

/** How ONNX Runtime computes in Node. */
export interface NodeEngineOptions {
  readonly device?: NodeDevice;
  /** Threads within one operator; by default one per physical core. */
  readonly threads?: number;
  readonly optimization?: 'all' | 'extended' | 'basic' | 'disabled';
  /**
   * Threads that share an operator spin within a run until the next one, default true: waking them takes longer than
   * many operators of a single small picture.
   */
  readonly spinning?: boolean;
  /**
   * A folder in which what was made of large models is kept for the processes to come, up to 20 GB of it: they load at
   * once, and their weights are mapped from there. On the processor, and for weights in files.
   */
  readonly compiledCache?: string | undefined;
  /** Write a profile of every executable, to a file whose path begins with this. */
  readonly profile?: string;
}

/** What the engine of a device is called in reports and pictures. */
export function nodeEngineName(device: NodeDevice): string {
  return `onnxruntime-node/${device}`;
}

/** An engine on a worker thread of its own, so that no run blocks the event loop. `await using` disposes of it. */
export function createNodeEngine(options: NodeEngineOptions = {}): KeepingEngine & AsyncDisposable {
  return new NodeEngine(options);
}

type Client = WorkerClient<Request, CommonResult>;

function newClient(): Client {
  turnTelemetryOff();
  return new WorkerClient({ beside: import.meta.url, runtime: 'ONNX Runtime' });
}

class NodeEngine implements KeepingEngine, AsyncDisposable {
  readonly name: string;
  readonly #settings: Omit<SessionSettings, keyof MemorySettings>;
  /** The first does all of the work but for the compiling and running of large models, which all share. */
  readonly #clients = [newClient()];
  readonly #pool = new BufferPool();
  readonly #onProcessor: boolean;
  readonly #cache: CompiledCache | undefined;
  #nextSession = 0;
  #disposed = false;

  constructor({
    device = 'cpu',
    threads,
    optimization = 'all',
    spinning = true,
    profile,
    compiledCache,
  }: NodeEngineOptions) {
    this.#onProcessor = device === 'cpu';
    if (this.#onProcessor && compiledCache !== undefined) this.#cache = new CompiledCache(compiledCache);
    this.name = nodeEngineName(device);
    this.#settings = {
      // What a device cannot do falls back to the CPU.
      executionProviders: device === 'cpu' ? ['cpu'] : [device, 'cpu'],
      threads,
      optimization,
      allowSpinning: spinning,
      profilePrefix: profile,
    };
  }

  /** Of segments, two of which are held at a time, one of them while it is prepared. */
  get streamedBytes(): number | undefined {
    return this.#onProcessor ? 8 * SEGMENT_BYTES : undefined;
  }

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    const { weights, name = 'program', signal, onWeights, streamed: isStreamed = false } = options;
    signal?.throwIfAborted();
    if (this.#disposed) throw new Error(`${name} cannot be compiled: the engine was disposed of`);
    const bytes = boundBytes(program, weights);
    const count = this.#onProcessor ? segmentCount(bytes) : 1;
    const cache = bytes < LEAST_KEPT_BYTES ? undefined : this.#cache;
    if (count === 1)
      return this.#compile(this.#clients[0]!, program, options, { memory: USUAL_MEMORY, cache });

    const parts = {
      name,
      whole: program,
      segments: segments(program, count),
      bound: (parameter: string) => weights?.has(parameter) ?? false,
    };
    const compilePart = (client: Client, segment: Program, part: number, signal: AbortSignal | undefined) => {
      const partOptions = { weights, name: `${name}, part ${part}`, signal };
      return this.#compile(client, segment, partOptions, { memory: LARGE_MODEL_MEMORY, cache });
    };
    const clients = this.#allClients();
    if (isStreamed) {
      return streamed(parts, (i, { signal }) =>
        compilePart(clients[i % clients.length]!, parts.segments[i]!, i + 1, signal),
      );
    }
    const compiled = await compileSegments(
      parts.segments,
      clients.map((client) => async (segment, part) => {
        const executable = await compilePart(client, segment, part, signal);
        onWeights?.(sizeOfBound(segment, weights));
        return executable;
      }),
    );
    return segmented(parts, compiled);
  }

  async compileKeeping(
    program: Program,
    keep: readonly string[],
    options: CompileOptions = {},
  ): Promise<KeepingExecutable> {
    const { name = 'program' } = options;
    checkKept(name, program.outputs.keys(), keep);
    const how = { memory: USUAL_MEMORY, keep };
    const executable = await this.#compile(this.#clients[0]!, program, options, how);
    return {
      run: (inputs, runOptions) =>
        executable.runKeeping(inputs, keep, (value) => this.#read(value), runOptions),
      dispose: () => executable.dispose(),
    };
  }

  /** ONNX Runtime prepares weights on one thread: as many workers as there are threads, or as are worth their memory. */
  #allClients(): readonly Client[] {
    const count = Math.min(this.#settings.threads ?? availableParallelism(), MOST_WORKERS);
    while (this.#clients.length < count) this.#clients.push(newClient());
    return this.#clients;
  }

  async #compile(
    client: Client,
    program: Program,
    { weights, name = 'program', signal }: CompileOptions,
    { memory, cache, keep = [] }: HowToCompile,
  ): Promise<ThreadExecutable> {
    signal?.throwIfAborted();
    const files = await weightFiles(program, weights);
    // A large model is written for seconds: between two of its parts signals and other requests have their turn.
    await turn();
    const model = serialize(program, {
      weights,
      name,
      locationOf: files?.locationOf,
      // WebGPU has 16-bit numbers only where the adapter has the feature shader-f16, of which we hear nothing here.
      widenTables: this.#settings.executionProviders[0] === 'webgpu',
    });
    const session = this.#nextSession++;
    const settings = { ...this.#settings, ...memory };
    const saved =
      cache && files && (await this.#saved(cache, client, { model, files, settings, session, name, signal }));
    try {
      if (saved !== undefined) {
        // It was optimised when it was saved.
        const asItIs = { ...settings, optimization: 'disabled' } as const;
        const request = { model: saved, external: [], folder: undefined, settings: asItIs, keep };
        await client.request({ kind: 'compile', session, ...request }, [], signal);
      } else {
        const external = await externalValues(model);
        const values = external.map((value) => ('bytes' in value ? value.bytes.buffer : undefined));
        await client.request(
          {
            kind: 'compile',
            session,
            model: model.bytes,
            external,
            folder: files?.folder,
            settings,
            keep: keep.map((output) => model.outputs.get(output)!),
          },
          [model.bytes.buffer, ...values].filter((buffer) => buffer instanceof ArrayBuffer),
          signal,
        );
      }
    } catch (error) {
      signal?.throwIfAborted();
      throw named(`${name} does not compile on ${this.name}`, error);
    }
    return new ThreadExecutable(name, session, model, client, this.#pool);
  }

  /** The path of the model as it was saved when it was first compiled, which may be now. */
  async #saved(
    cache: CompiledCache,
    client: Client,
    { model, files, settings, session, name, signal }: ModelToSave,
  ): Promise<string | undefined> {
    const key = cacheKey([settings.optimization, ...files.versions, model.bytes]);
    const found = await cache.find(key);
    if (found !== undefined) return found;
    try {
      await cache.add(key, async (path) => {
        const saveAs = { path, weights: WEIGHTS };
        const request = {
          model: model.bytes,
          external: [],
          folder: files.folder,
          settings,
          keep: [],
          saveAs,
        };
        await client.request({ kind: 'compile', session, ...request }, [], signal);
      });
    } catch (error) {
      signal?.throwIfAborted();
      throw named(`${name} cannot be compiled for the cache ${cache.folder}`, error);
    }
    return cache.find(key);
  }

  /** By a program that gives what it is given: only results of programs can be read from every device. */
  async #read(value: ThreadTensor): Promise<HostTensor> {
    const same = program({ value: input('value', value.shape, value.dtype) });
    const executable = await this.compileKeeping(same, [], { name: 'reading a value' });
    try {
      return (await executable.run({ value })).outputs.value!;
    } finally {
      await executable.dispose();
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.all(this.#clients.map((client) => client.close({ kind: 'close' })));
    this.#pool.clear();
  }
}

interface HowToCompile {
  readonly memory: MemorySettings;
  readonly cache?: CompiledCache | undefined;
  /** Outputs that stay with the engine. */
  readonly keep?: readonly string[];
}

/** A model whose values all lie in files or in itself. */
interface ModelToSave {
  readonly model: OnnxModel;
  readonly files: WeightFiles;
  readonly settings: SessionSettings;
  readonly session: number;
  readonly name: string;
  readonly signal: AbortSignal | undefined;
}

type MemorySettings = Pick<SessionSettings, 'memoryPattern' | 'arena'>;

const USUAL_MEMORY: MemorySettings = { memoryPattern: true, arena: true };

/** Large models take memory as they need it: planned or kept for later, it doubles what a run holds beside the weights. */
const LARGE_MODEL_MEMORY: MemorySettings = { memoryPattern: false, arena: false };

/** Each more loads faster, and holds a few of the largest weights several times over while it does. */
const MOST_WORKERS = 4;

/** Of float32, about as many bytes of weights as a worker prepares at a time. */
const SEGMENT_BYTES = 2 ** 27;

/**
 * ONNX Runtime holds a weight up to five times while it casts, reorders and packs a model's weights, and lets go when
 * all are done. Large models are therefore compiled in segments; small ones gain nothing by it.
 */
function segmentCount(bytes: number): number {
  return bytes < 2 * SEGMENT_BYTES ? 1 : Math.round(bytes / SEGMENT_BYTES);
}

/** Of weights, from which on loading takes long enough for what was made of them to be kept. */
const LEAST_KEPT_BYTES = 2 ** 26;

/** Bytes, in float32, of the parameters whose values are given when a program is compiled. */
function boundBytes({ parameters }: Program, weights: CompileOptions['weights']): number {
  let bytes = 0;
  for (const [name, { shape }] of parameters) if (weights?.has(name)) bytes += 4 * elementCount(shape);
  return bytes;
}

/** After copying this many bytes, the event loop gets its turn. */
const COPY_AT_ONCE = 2 ** 25;

/** The values to be given with the model, copied so that they can be handed over: what the caller holds stays theirs. */
async function externalValues(model: OnnxModel): Promise<ExternalValue[]> {
  const values: ExternalValue[] = [];
  let copied = 0;
  for (const [location, storage] of model.external) {
    if (storage.kind === 'source' && storage.source.path !== undefined) {
      const { source, offset, length } = storage;
      values.push({ location, path: source.path!, offset, length });
      continue;
    }
    const stored = await storedBytes(storage);
    values.push({ location, bytes: storage.kind === 'bytes' ? stored.slice() : stored });
    copied += stored.byteLength;
    if (copied >= COPY_AT_ONCE) {
      await turn();
      copied = 0;
    }
  }
  return values;
}
