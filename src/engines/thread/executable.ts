/**
 * What a worker thread runs, from the engine's side: copies of inputs travel there, results come back. Inputs in shared
 * memory do not travel.
 */
import { InputError, UsageError } from '../../errors.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { abortable } from '../abortable.ts';
import { checkInputs } from '../check-inputs.ts';
import {
  type DeviceTensor,
  type Executable,
  isHostTensor,
  type KeptResult,
  type RunOptions,
  type Value,
} from '../engine.ts';
import type { OnnxModel } from '../onnx/serialize.ts';
import type { BufferPool } from './buffer-pool.ts';
import { type ReadTensor, type ThreadClient, ThreadTensor } from './device-tensor.ts';
import type { KeptInput, KeptOutput, RunResult, WireTensor } from './messages.ts';
import { isShared } from './shared-inputs.ts';

/** Numbers of values that threads keep, no two alike. */
let nextKept = 0;

/** A program that a thread is ready to run, under the number of a session. */
export class ThreadExecutable implements Executable {
  readonly #name: string;
  readonly #session: number;
  readonly #inputs: OnnxModel['inputs'];
  /** The program's name of each of the model's outputs. */
  readonly #outputs: ReadonlyMap<string, string>;
  readonly #client: ThreadClient;
  readonly #pool: BufferPool;
  #disposed = false;

  constructor(
    name: string,
    session: number,
    model: Pick<OnnxModel, 'inputs' | 'outputs'>,
    client: ThreadClient,
    pool: BufferPool,
  ) {
    this.#name = name;
    this.#session = session;
    this.#inputs = model.inputs;
    this.#outputs = new Map([...model.outputs].map(([output, modelName]) => [modelName, output]));
    this.#client = client;
    this.#pool = pool;
  }

  async run(
    inputs: Readonly<Record<string, HostTensor>>,
    options: RunOptions = {},
  ): Promise<Record<string, HostTensor>> {
    return (await this.#run(inputs, [], options)).outputs;
  }

  /** keep: outputs of those that this was compiled to keep. */
  async runKeeping(
    inputs: Readonly<Record<string, Value>>,
    keep: readonly string[],
    read: ReadTensor,
    options: RunOptions = {},
  ): Promise<KeptResult> {
    const outputs = [...this.#outputs].filter(([, output]) => keep.includes(output));
    const places = outputs.map(([name]) => ({ name, kept: nextKept++ }));
    const result = await this.#run(inputs, places, options);
    const kept = result.kept.map(({ name, kept: id, dtype, shape }) => {
      const tensor = new ThreadTensor(id, dtype, shape, this.#client, read);
      return [this.#outputs.get(name)!, tensor] as const;
    });
    return { outputs: result.outputs, kept: Object.fromEntries(kept) };
  }

  async #run(inputs: Readonly<Record<string, Value>>, keep: readonly KeptInput[], { signal }: RunOptions) {
    signal?.throwIfAborted();
    if (this.#disposed) throw new Error(`${this.#name} was disposed of and cannot be run`);
    checkInputs(this.#name, this.#inputs, inputs);
    const wire = Object.entries(inputs).map(([name, value]): WireTensor | KeptInput => {
      if (!isHostTensor(value)) return { name, kept: this.#idOf(name, value) };
      const { dtype, shape, data } = value;
      return { name, dtype, shape, data: isShared(data) ? data : this.#pool.copy(data) };
    });
    const transfer = wire.flatMap((value) =>
      'data' in value && value.data.buffer instanceof ArrayBuffer ? [value.data.buffer] : [],
    );
    return abortable(this.#ran(wire, keep, transfer, signal), signal);
  }

  #idOf(name: string, value: DeviceTensor): number {
    if (value instanceof ThreadTensor && value.client === this.#client) return value.id;
    throw new UsageError(`${this.#name}: the input "${name}" is kept by another engine`);
  }

  async #ran(
    inputs: readonly (WireTensor | KeptInput)[],
    keep: readonly KeptInput[],
    transfer: ArrayBuffer[],
    signal: AbortSignal | undefined,
  ): Promise<{ outputs: Record<string, HostTensor>; kept: readonly KeptOutput[] }> {
    let result: { readonly kind: string };
    try {
      const request = { kind: 'run', session: this.#session, inputs, keep } as const;
      result = await this.#client.request(request, transfer, signal);
    } catch (error) {
      throw named(`${this.#name} failed`, error);
    }
    if (result.kind !== 'ran') throw new Error(`the engine's thread answered a run with "${result.kind}"`);
    const { inputs: returned, outputs: results, kept } = result as RunResult;
    for (const { data } of returned) this.#pool.release(data);
    const outputs: Record<string, HostTensor> = {};
    for (const { name, dtype, shape, data } of results) {
      outputs[this.#outputs.get(name) ?? name] = { dtype, shape, data };
    }
    return { outputs, kept };
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#pool.clear();
    if (!this.#client.ended) await this.#client.request({ kind: 'release', session: this.#session });
  }
}

/** An error that says what failed. */
export function named(what: string, cause: unknown): Error {
  return new InputError(`${what}: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
}
