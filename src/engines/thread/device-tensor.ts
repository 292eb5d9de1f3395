/** Values that stay with an engine's worker between runs. */
import type { TransferListItem } from 'node:worker_threads';
import type { HostTensor } from '../../graph/host-tensor.ts';
import type { DeviceTensor } from '../engine.ts';
import type { CommonRequest } from './messages.ts';

/** What executables and values ask of a thread; an engine asks more. */
export interface ThreadClient {
  readonly ended: boolean;
  request(
    request: CommonRequest,
    transfer?: readonly TransferListItem[],
    signal?: AbortSignal,
  ): Promise<{ readonly kind: string }>;
}

/** How an engine fetches a value that lies with its thread. */
export type ReadTensor = (value: ThreadTensor) => Promise<HostTensor>;

/** A value that lies with a worker, and on its device. */
export class ThreadTensor implements DeviceTensor {
  readonly id: number;
  readonly dtype: DeviceTensor['dtype'];
  readonly shape: DeviceTensor['shape'];
  readonly client: ThreadClient;
  readonly #read: ReadTensor;
  #disposed = false;

  constructor(
    id: number,
    dtype: DeviceTensor['dtype'],
    shape: DeviceTensor['shape'],
    client: ThreadClient,
    read: ReadTensor,
  ) {
    this.id = id;
    this.dtype = dtype;
    this.shape = shape;
    this.client = client;
    this.#read = read;
  }

  read(): Promise<HostTensor> {
    return this.#read(this);
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.client.ended) await this.client.request({ kind: 'drop', kept: this.id });
  }
}
