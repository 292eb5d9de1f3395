/** An engine's side of its worker thread: requests that are answered by promises. */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type TransferListItem, Worker } from 'node:worker_threads';
import { InputError } from '../../errors.ts';
import { onAbort } from '../abortable.ts';
import { cancel, createCancellation } from './cancellation.ts';
import { createGate, holdExit } from './exit-gate.ts';
import type { ReplyMessage, RequestMessage, WorkerData } from './messages.ts';

interface Pending<Result> {
  readonly resolve: (result: Result) => void;
  readonly reject: (error: Error) => void;
}

/** What runs in the thread. */
export interface WorkerModule {
  /** `import.meta.url` of the module beside which `worker.js` lies. */
  readonly beside: string;
  /** What lives there, for errors: `ONNX Runtime`. */
  readonly runtime: string;
}

export class WorkerClient<Request, Result> {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending<Result>>();
  readonly #letGo: () => void;
  readonly #cancellation = createCancellation();
  #nextId = 0;
  /** Why the thread takes no more requests. */
  #ended: Error | undefined;
  #closed: Promise<void> | undefined;

  constructor({ beside, runtime }: WorkerModule) {
    const gate = createGate();
    const workerData: WorkerData = { gate, cancellation: this.#cancellation };
    // The thread does not get the process's own flags: some of them (--input-type) are none for a thread.
    this.#worker = new Worker(workerBeside(beside), { name: runtime, workerData, execArgv: [] });
    this.#letGo = holdExit(gate);
    this.#worker.unref();
    this.#worker.on('message', (reply: ReplyMessage<Result>) => {
      const pending = this.#pending.get(reply.id);
      this.#pending.delete(reply.id);
      // A thread that waits for work must not keep the process alive; one that is being ended must.
      if (this.#pending.size === 0 && !this.#ended) this.#worker.unref();
      if (reply.ok) pending?.resolve(reply.result);
      else pending?.reject(new Error(reply.message));
    });
    this.#worker.on('error', (error) =>
      this.#end(
        new InputError(`the ${runtime} thread failed: ${error instanceof Error ? error.message : error}`),
      ),
    );
    this.#worker.on('exit', () => this.#end(new Error(`the ${runtime} thread has ended`)));
  }

  /** The thread is gone, or going, with all that it held. */
  get ended(): boolean {
    return this.#ended !== undefined;
  }

  /**
   * Sends a request; `transfer` lists the buffers that are handed over. Rejects with the runtime's message. Once the
   * signal is aborted, what the thread has not begun it will not begin.
   */
  async request(
    request: Request,
    transfer: readonly TransferListItem[] = [],
    signal?: AbortSignal,
  ): Promise<Result> {
    if (this.#ended) throw this.#ended;
    const id = this.#nextId;
    const reply = this.#send(request, transfer);
    const leave = signal && onAbort(signal, () => cancel(this.#cancellation, id));
    try {
      return await reply;
    } finally {
      leave?.();
    }
  }

  /** Takes no more requests, finishes those that it has, the last of them `request`, and ends the thread. */
  close(request: Request): Promise<void> {
    this.#closed ??= this.#close(request);
    return this.#closed;
  }

  async #close(request: Request): Promise<void> {
    if (this.#ended) return;
    this.#ended = new Error('the engine was disposed of');
    await this.#send(request, []);
    this.#end(this.#ended);
    await this.#worker.terminate();
  }

  #send(request: Request, transfer: readonly TransferListItem[]): Promise<Result> {
    return new Promise((resolve, reject) => {
      const message: RequestMessage<Request> = { id: this.#nextId++, request };
      this.#worker.postMessage(message, transfer);
      this.#pending.set(message.id, { resolve, reject });
      this.#worker.ref();
    });
  }

  #end(reason: Error): void {
    this.#ended ??= reason;
    this.#letGo();
    for (const { reject } of this.#pending.values()) reject(reason);
    this.#pending.clear();
  }
}

/** Node 20 cannot run TypeScript in a worker: from the sources (tests), the built worker is taken. */
function workerBeside(module: string): URL {
  if (!module.endsWith('.ts')) return new URL('./worker.js', module);
  const folder = new URL('.', module).href;
  const source = new URL('../../', import.meta.url).href;
  const built = new URL(`../../../dist/${folder.slice(source.length)}worker.js`, import.meta.url);
  if (!existsSync(built)) {
    throw new InputError(
      `${fileURLToPath(built)} is not there: run "npm run build" once before using the sources directly`,
    );
  }
  return built;
}
