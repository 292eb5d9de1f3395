/// <reference lib="esnext.disposable" preserve="true" />
/** Programs on ONNX Runtime in Node: on the CPU, or on whatever device its build supports. */
import { availableParallelism } from 'node:os';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { type Program, program } from '../../graph/program.ts';
import { segments } from '../../graph/segments.ts';
import { elementCount } from '../../graph/shape.ts';
import { input } from '../../graph/tensor.ts';
import { storedBytes } from '../../weights/load-tensors.ts';
import { checkKept } from '../check-inputs.ts';
import { compileSegments } from '../compile-segments.ts';
import type { CompileOptions, Executable, KeepingEngine, KeepingExecutable } from '../engine.ts';
import { type OnnxModel, serialize } from '../onnx/serialize.ts';
import { segmented } from '../segmented.ts';
import { BufferPool } from '../thread/buffer-pool.ts';
import type { ThreadTensor } from '../thread/device-tensor.ts';
import { named, ThreadExecutable } from '../thread/executable.ts';
import type { CommonResult } from '../thread/messages.ts';
import { turn } from '../thread/turn.ts';
import { WorkerClient } from '../thread/worker-client.ts';
import type { ExternalValue, Request, SessionSettings } from './messages.ts';
import { turnTelemetryOff } from './telemetry.ts';
import { weightFiles } from './weight-files.ts';

/** What computes; which of them work here, `lcm doctor` says. */
export type NodeDevice = 'cpu' | 'webgpu' | 'cuda' | 'coreml' | 'dml';

/** How ONNX Runtime computes in Node. */
export interface NodeEngineOptions {
  readonly device?: NodeDevice;
  /** Threads within one operator; by default one per physical core. */
  readonly threads?: number;
  readonly optimization?: 'all' | 'extended' | 'basic' | 'disabled';
  /** Let idle threads of ONNX Runtime spin while they wait for work. */
  readonly spinning?: boolean;
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
  #nextSession = 0;
  #disposed = false;

  constructor({
    device = 'cpu',
    threads,
    optimization = 'all',
    spinning = false,
    profile,
  }: NodeEngineOptions) {
    this.#onProcessor = device === 'cpu';
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

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    const { weights, name = 'program', signal } = options;
    signal?.throwIfAborted();
    if (this.#disposed) throw new Error(`${name} cannot be compiled: the engine was disposed of`);
    const count = this.#onProcessor ? segmentCount(program, weights) : 1;
    if (count === 1) return this.#compile(this.#clients[0]!, program, options, USUAL_MEMORY);
    const compiled = await compileSegments(
      segments(program, count),
      this.#allClients().map(
        (client) => (segment, part) =>
          this.#compile(
            client,
            segment,
            { weights, name: `${name}, part ${part}`, signal },
            LARGE_MODEL_MEMORY,
          ),
      ),
    );
    return segmented(name, program, (parameter) => weights?.has(parameter) ?? false, compiled);
  }

  async compileKeeping(
    program: Program,
    keep: readonly string[],
    options: CompileOptions = {},
  ): Promise<KeepingExecutable> {
    const { name = 'program' } = options;
    checkKept(name, program.outputs.keys(), keep);
    const executable = await this.#compile(this.#clients[0]!, program, options, USUAL_MEMORY, keep);
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
    memory: MemorySettings,
    keep: readonly string[] = [],
  ): Promise<ThreadExecutable> {
    signal?.throwIfAborted();
    const files = await weightFiles(program, weights);
    // A large model is written for seconds: between two of its parts signals and other requests have their turn.
    await turn();
    const model = serialize(program, {
      ...{ weights, name, locationOf: files?.locationOf },
      // WebGPU has 16-bit numbers only where the adapter has the feature shader-f16, of which we hear nothing here.
      widenTables: this.#settings.executionProviders[0] === 'webgpu',
    });
    const external = await externalValues(model);
    const session = this.#nextSession++;
    const transfer = [
      model.bytes.buffer,
      ...external.map((value) => ('bytes' in value ? value.bytes.buffer : undefined)),
    ];
    try {
      await client.request(
        {
          kind: 'compile',
          session,
          model: model.bytes,
          external,
          folder: files?.folder,
          settings: { ...this.#settings, ...memory },
          keep: keep.map((output) => model.outputs.get(output)!),
        },
        transfer.filter((buffer) => buffer instanceof ArrayBuffer),
        signal,
      );
    } catch (error) {
      signal?.throwIfAborted();
      throw named(`${name} does not compile on ${this.name}`, error);
    }
    return new ThreadExecutable(name, session, model, client, this.#pool);
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
function segmentCount({ parameters }: Program, weights: CompileOptions['weights']): number {
  let bytes = 0;
  for (const [name, { shape }] of parameters) if (weights?.has(name)) bytes += 4 * elementCount(shape);
  return bytes < 2 * SEGMENT_BYTES ? 1 : Math.round(bytes / SEGMENT_BYTES);
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
