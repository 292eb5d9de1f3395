/** Values that stay with an engine's worker between runs. */
import type { HostTensor } from '../../graph/host-tensor.ts';
import { program } from '../../graph/program.ts';
import { input } from '../../graph/tensor.ts';
import type { DeviceTensor, KeepingEngine } from '../engine.ts';
import type { WorkerClient } from './worker-client.ts';

/** A value that lies with a worker, and on its device. */
export class NodeDeviceTensor implements DeviceTensor {
  readonly id: number;
  readonly dtype: DeviceTensor['dtype'];
  readonly shape: DeviceTensor['shape'];
  readonly client: WorkerClient;
  readonly #engine: KeepingEngine;
  #disposed = false;

  constructor(
    id: number,
    dtype: DeviceTensor['dtype'],
    shape: DeviceTensor['shape'],
    client: WorkerClient,
    engine: KeepingEngine,
  ) {
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    this.client = client;
    this.#engine = engine;
  }

  /** By a program that gives what it is given: only results of programs can be read from every device. */
  async read(): Promise<HostTensor> {
    const same = program({ value: input('value', this.shape, this.dtype) });
    const executable = await this.#engine.compileKeeping(same, [], { name: 'reading a value' });
    try {
      return (await executable.run({ value: this })).outputs.value!;
    } finally {
      await executable.dispose();
    }
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.client.ended) await this.client.request({ kind: 'drop', kept: this.id });
  }
}
