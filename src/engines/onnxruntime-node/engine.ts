/** Programs on ONNX Runtime in Node: on the CPU, or on whatever device its build supports. */
import { availableParallelism } from 'node:os';
import { setImmediate } from 'node:timers/promises';
import { InputError } from '../../errors.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import type { Program } from '../../graph/program.ts';
import { segments } from '../../graph/segments.ts';
import { elementCount } from '../../graph/shape.ts';
import { abortable } from '../abortable.ts';
import { checkInputs } from '../check-inputs.ts';
import { compileSegments } from '../compile-segments.ts';
import type { CompileOptions, Engine, Executable, RunOptions } from '../engine.ts';
import { type OnnxModel, serialize } from '../onnx/serialize.ts';
import { segmented } from '../segmented.ts';
import { BufferPool } from './buffer-pool.ts';
import type { ExternalValue, SessionSettings, WireTensor } from './messages.ts';
import { weightFiles } from './weight-files.ts';
import { WorkerClient } from './worker-client.ts';

export type NodeDevice = 'cpu' | 'webgpu' | 'cuda' | 'coreml' | 'dml';

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

/** An engine on a worker thread of its own, so that no run blocks the event loop. */
export function createNodeEngine(options: NodeEngineOptions = {}): Engine {
  return new NodeEngine(options);
}

class NodeEngine implements Engine {
  readonly name: string;
  readonly #settings: Omit<SessionSettings, keyof MemorySettings>;
  /** The first does all of the work but for the compiling and running of large models, which all share. */
  readonly #clients = [new WorkerClient()];
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
    const { weights, name = 'program' } = options;
    if (this.#disposed) throw new Error(`${name} cannot be compiled: the engine was disposed of`);
    const count = this.#onProcessor ? segmentCount(program, weights) : 1;
    if (count === 1) return this.#compile(this.#clients[0]!, program, options, USUAL_MEMORY);
    const compiled = await compileSegments(
      segments(program, count),
      this.#allClients().map(
        (client) => (segment, part) =>
          this.#compile(client, segment, { weights, name: `${name}, part ${part}` }, LARGE_MODEL_MEMORY),
      ),
    );
    return segmented(name, program, (parameter) => weights?.has(parameter) ?? false, compiled);
  }

  /** ONNX Runtime prepares weights on one thread: as many workers as there are threads, or as are worth their memory. */
  #allClients(): readonly WorkerClient[] {
    const count = Math.min(this.#settings.threads ?? availableParallelism(), MOST_WORKERS);
    while (this.#clients.length < count) this.#clients.push(new WorkerClient());
    return this.#clients;
  }

  async #compile(
    client: WorkerClient,
    program: Program,
    { weights, name = 'program' }: CompileOptions,
    memory: MemorySettings,
  ): Promise<Executable> {
    const files = await weightFiles(program, weights);
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
        },
        transfer.filter((buffer) => buffer instanceof ArrayBuffer),
      );
    } catch (error) {
      throw named(`${name} does not compile on ${this.name}`, error);
    }
    return new NodeExecutable(name, session, model, client, this.#pool);
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await Promise.all(this.#clients.map((client) => client.close()));
    this.#pool.clear();
  }
}

class NodeExecutable implements Executable {
  readonly #name: string;
  readonly #session: number;
  readonly #inputs: OnnxModel['inputs'];
  /** The program's name of each of the model's outputs. */
  readonly #outputs: ReadonlyMap<string, string>;
  readonly #client: WorkerClient;
  readonly #pool: BufferPool;
  #disposed = false;

  constructor(name: string, session: number, model: OnnxModel, client: WorkerClient, pool: BufferPool) {
    this.#name = name;
    this.#session = session;
    this.#inputs = model.inputs;
    this.#outputs = new Map([...model.outputs].map(([output, modelName]) => [modelName, output]));
    this.#client = client;
    this.#pool = pool;
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    { signal }: RunOptions = {},
  ): Promise<Record<string, HostTensor>> {
    signal?.throwIfAborted();
    if (this.#disposed) throw new Error(`${this.#name} was disposed of and cannot be run`);
    checkInputs(this.#name, this.#inputs, inputs);
    const wire = Object.entries(inputs).map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape,
      data: this.#pool.copy(data),
    }));
    const transfer = wire.map(({ data }) => data.buffer).filter((buffer) => buffer instanceof ArrayBuffer);
    return abortable(this.#ran(wire, transfer), signal);
  }

  async #ran(inputs: readonly WireTensor[], transfer: ArrayBuffer[]): Promise<Record<string, HostTensor>> {
    let result: Awaited<ReturnType<WorkerClient['request']>>;
    try {
      result = await this.#client.request({ kind: 'run', session: this.#session, inputs }, transfer);
    } catch (error) {
      throw named(`${this.#name} failed`, error);
    }
    if (result.kind !== 'ran')
      throw new Error(`the ONNX Runtime thread answered a run with "${result.kind}"`);
    for (const { data } of result.inputs) this.#pool.release(data);
    const outputs: Record<string, HostTensor> = {};
    for (const { name, dtype, shape, data } of result.outputs) {
      outputs[this.#outputs.get(name) ?? name] = { dtype, shape, data };
    }
    return outputs;
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#pool.clear();
    if (!this.#client.ended) await this.#client.request({ kind: 'release', session: this.#session });
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
    if (storage.kind === 'file') {
      values.push({ location, path: storage.path, offset: storage.offset, length: storage.length });
      continue;
    }
    values.push({ location, bytes: storage.bytes.slice() });
    copied += storage.bytes.byteLength;
    if (copied >= COPY_AT_ONCE) {
      await setImmediate();
      copied = 0;
    }
  }
  return values;
}

function named(what: string, cause: unknown): Error {
  return new InputError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
