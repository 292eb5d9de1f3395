/// <reference lib="esnext.disposable" preserve="true" />
/** Programs on OpenVINO, whichever the machine has: on processors in float32 and half precision, on Intel's GPUs and NPUs. */
import { writeFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { HostTensor } from '../../graph/host-tensor.ts';
import type { Program } from '../../graph/program.ts';
import { sensitiveFirst } from '../../graph/segments.ts';
import { checkKept } from '../check-inputs.ts';
import type { CompileOptions, Executable, KeepingEngine, KeepingExecutable, Value } from '../engine.ts';
import { serialize } from '../onnx/serialize.ts';
import { CompiledCache, cacheKey } from '../onnxruntime-node/compiled-cache.ts';
import { weightFiles } from '../onnxruntime-node/weight-files.ts';
import type { Precision } from '../precision.ts';
import { segmented } from '../segmented.ts';
import { BufferPool } from '../thread/buffer-pool.ts';
import type { ThreadTensor } from '../thread/device-tensor.ts';
import { named, ThreadExecutable } from '../thread/executable.ts';
import { turn } from '../thread/turn.ts';
import { WorkerClient } from '../thread/worker-client.ts';
import { deviceName, type OpenVinoDevice } from './devices.ts';
import { HeldValues } from './held-values.ts';
import { openVinoLibrary } from './installation.ts';
import type { Properties } from './library.ts';
import type { CompileRequest, Description, Request, Result } from './messages.ts';

export type { Description, DeviceDescription } from './messages.ts';

/** How OpenVINO computes. */
export interface OpenVinoEngineOptions {
  /** Default: `openvino`, the processor. */
  readonly device?: OpenVinoDevice;
  /**
   * In what it computes; values go in and come out as programs say. Default: float32, also where OpenVINO by itself
   * would take bfloat16. A device that does not compute in it is an error when a program is compiled.
   */
  readonly precision?: Precision;
  /** Threads within one operator, on the processor; by default one per physical core. */
  readonly threads?: number;
  /** A folder in which what was compiled is kept for the processes to come, up to 20 GB of it. */
  readonly compiledCache?: string | undefined;
}

/** What the engine of a device is called in reports and pictures. */
export function openVinoEngineName(device: OpenVinoDevice): string {
  return `openvino/${deviceName(device)}`;
}

/** An engine on a worker thread of its own. `await using` disposes of it. Throws InputError where OpenVINO is not found. */
export function createOpenVinoEngine(options: OpenVinoEngineOptions = {}): KeepingEngine & AsyncDisposable {
  return new OpenVinoEngine(options);
}

/** What a library is and which devices it has. Rejects with OpenVINO's message. */
export async function describeOpenVino(library: string): Promise<Description> {
  const client = newClient();
  try {
    return (await client.request({ kind: 'describe', library })) as Description;
  } finally {
    await client.close({ kind: 'close' });
  }
}

type Client = WorkerClient<Request, Result>;

function newClient(): Client {
  return new WorkerClient({ beside: import.meta.url, runtime: 'OpenVINO' });
}

class OpenVinoEngine implements KeepingEngine, AsyncDisposable {
  readonly name: string;
  readonly precision: Precision;
  readonly #library = resolve(openVinoLibrary());
  readonly #client: Client;
  readonly #pool = new BufferPool();
  readonly #device: string;
  readonly #threads: number | undefined;
  readonly #cache: CompiledCache | undefined;
  /** What programs that are compiled read where it lies. */
  readonly #held = new Set<HeldValues>();
  #entered: Promise<boolean> | undefined;
  #nextSession = 0;
  #disposed = false;

  constructor({ device = 'openvino', precision = 'float32', threads, compiledCache }: OpenVinoEngineOptions) {
    this.name = openVinoEngineName(device);
    this.precision = precision;
    this.#device = deviceName(device);
    this.#threads = threads;
    if (compiledCache !== undefined) this.#cache = new CompiledCache(resolve(compiledCache));
    this.#client = newClient();
  }

  async compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
    const { name = 'program', weights } = options;
    const { segments, executables } = await this.#compileAll(program, options);
    if (executables.length === 1) return executables[0]!;
    const bound = (parameter: string) => weights?.has(parameter) ?? false;
    return segmented({ name, whole: program, segments, bound }, executables);
  }

  async compileKeeping(
    program: Program,
    keep: readonly string[],
    options: CompileOptions = {},
  ): Promise<KeepingExecutable> {
    const { name = 'program' } = options;
    checkKept(name, program.outputs.keys(), keep);
    const { executables } = await this.#compileAll(program, options);
    const [first, last = first] = executables as [OpenVinoExecutable, OpenVinoExecutable?];
    const read = (value: ThreadTensor) => this.#read(value);
    return {
      async run(inputs, runOptions) {
        if (last === first) return first.runKeeping(inputs, keep, read, runOptions);
        const { outputs } = await first.runKeeping(first.of(inputs), [], read, runOptions);
        const rest = await last.runKeeping(last.of({ ...inputs, ...outputs }), keep, read, runOptions);
        const own = Object.entries(outputs).filter(([output]) => program.outputs.has(output));
        return { outputs: { ...Object.fromEntries(own), ...rest.outputs }, kept: rest.kept };
      },
      async dispose() {
        for (const executable of executables) await executable.dispose();
      },
    };
  }

  /** In half precision what rounding harms is computed apart, in float32. */
  async #compileAll(program: Program, options: CompileOptions) {
    const segments = this.precision === 'float32' ? [program] : sensitiveFirst(program);
    const executables: OpenVinoExecutable[] = [];
    try {
      for (const segment of segments) {
        const isLast = executables.length === segments.length - 1;
        executables.push(await this.#compile(segment, isLast ? this.precision : 'float32', options));
      }
    } catch (error) {
      for (const executable of executables) await executable.dispose();
      throw error;
    }
    return { segments, executables };
  }

  async #compile(
    program: Program,
    precision: Precision,
    { weights = new Map(), name = 'program', signal }: CompileOptions,
  ): Promise<OpenVinoExecutable> {
    signal?.throwIfAborted();
    if (this.#disposed) throw new Error(`${name} cannot be compiled: the engine was disposed of`);
    // OpenVINO maps files where they lie, by their whole paths; what is in memory is then written into the model.
    const files = (await this.#readsFiles()) ? await weightFiles(program, weights) : undefined;
    const held = files ? undefined : await HeldValues.of(program, weights);
    if (held) this.#held.add(held);
    const free = () => {
      held?.free();
      if (held) this.#held.delete(held);
    };
    try {
      // A large model is written for seconds: signals and other requests have their turn before.
      await turn();
      const model = serialize(program, {
        weights,
        name,
        ...(held
          ? { addressOf: (storage) => held.addressOf(storage) }
          : { locationOf: (path) => resolve(path) }),
      });
      const session = this.#nextSession++;
      const outputs = [...program.outputs].map(([output, { dtype, shape }]) => ({
        name: model.outputs.get(output)!,
        dtype,
        shape,
      }));
      const request: CompileRequest = {
        kind: 'compile',
        session,
        library: this.#library,
        model: model.bytes,
        inputs: [...model.inputs.keys()],
        outputs,
        device: this.#device,
        precision,
        properties: this.#properties(),
      };
      // Of values in memory nobody knows whether they are the same the next time.
      const cache = held === undefined || weights.size === 0 ? this.#cache : undefined;
      await this.#cached(request, cache, files?.versions ?? [], signal);
      return new OpenVinoExecutable(name, session, model, this.#client, this.#pool, free);
    } catch (error) {
      free();
      signal?.throwIfAborted();
      throw named(`${name} does not compile on ${this.name} in ${precision}`, error);
    }
  }

  /** Compiles with the help of what OpenVINO left in the cache when it compiled the same before, which may be now. */
  async #cached(
    request: CompileRequest,
    cache: CompiledCache | undefined,
    versions: readonly string[],
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const compile = async (modelPath?: string) => {
      const folder: Properties = modelPath === undefined ? {} : { CACHE_DIR: dirname(modelPath) };
      await this.#client.request(
        { ...request, properties: { ...request.properties, ...folder } },
        [],
        signal,
      );
    };
    if (!cache) return compile();
    const { model, device, precision, properties, library } = request;
    const key = cacheKey([
      'openvino',
      library,
      device,
      precision,
      JSON.stringify(properties),
      ...versions,
      model,
    ]);
    const found = await cache.find(key);
    if (found !== undefined) return compile(found);
    let isCompiled = false;
    await cache.add(key, async (modelPath) => {
      await writeFile(modelPath, model);
      await compile(modelPath);
      isCompiled = true;
    });
    // Somebody else was at it.
    if (!isCompiled) await compile(await cache.find(key));
  }

  #properties(): Record<string, string> {
    return {
      PERFORMANCE_HINT: 'LATENCY',
      ...(this.#device === 'CPU' && {
        NUM_STREAMS: '1',
        // Engines beside each other would all be pinned to the first cores.
        ENABLE_CPU_PINNING: 'NO',
        ...(this.#threads !== undefined && { INFERENCE_NUM_THREADS: `${this.#threads}` }),
      }),
    };
  }

  /** Whether OpenVINO can read weights wherever they lie. */
  #readsFiles(): Promise<boolean> {
    this.#entered ??= this.#client
      .request({ kind: 'enterRoot' })
      .then((result) => result.kind === 'entered' && result.readsFiles);
    return this.#entered;
  }

  async #read({ id }: ThreadTensor): Promise<HostTensor> {
    const result = await this.#client.request({ kind: 'read', kept: id });
    if (result.kind !== 'read') throw new Error(`the OpenVINO thread answered a read with "${result.kind}"`);
    const { dtype, shape, data } = result.value;
    return { dtype, shape, data };
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#client.close({ kind: 'close' });
    for (const held of this.#held) held.free();
    this.#held.clear();
    this.#pool.clear();
  }
}

/** Which gives back, when it is disposed of, what it read where it lay. */
class OpenVinoExecutable extends ThreadExecutable {
  readonly #names: readonly string[];
  readonly #free: () => void;

  constructor(
    ...[name, session, model, client, pool, free]: [
      ...ConstructorParameters<typeof ThreadExecutable>,
      () => void,
    ]
  ) {
    super(name, session, model, client, pool);
    this.#names = [...model.inputs.keys()];
    this.#free = free;
  }

  /** Of these values those that it takes. */
  of(values: Readonly<Record<string, Value>>): Record<string, Value> {
    const known = this.#names.filter((name) => name in values);
    return Object.fromEntries(known.map((name) => [name, values[name]!]));
  }

  override async dispose(): Promise<void> {
    await super.dispose();
    this.#free();
  }
}
