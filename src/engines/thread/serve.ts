/** The worker's side: answers requests one after the other, in the order in which they came. */
import { parentPort, workerData } from 'node:worker_threads';
import { isCancelled } from './cancellation.ts';
import { isEnding, throughGate } from './exit-gate.ts';
import type { CommonResult, ReplyMessage, RequestMessage, RunResult, WorkerData } from './messages.ts';

/**
 * `handle` is told of nothing that nobody waits for any more, and what it throws is the reply. One that can break off
 * asks `isUnwanted` whether anybody still waits.
 */
export function serve<Request, Result extends { readonly kind: string }>(
  handle: (request: Request, isUnwanted: () => boolean) => Promise<Result | CommonResult>,
): void {
  const port = parentPort;
  if (!port) throw new Error('this module is the worker thread of an engine; create the engine instead');
  const { gate, cancellation } = workerData as WorkerData;
  let previous: Promise<void> = Promise.resolve();
  port.on('message', (message: RequestMessage<Request>) => {
    previous = previous.then(() => answer(message));
  });

  async function answer({ id, request }: RequestMessage<Request>): Promise<void> {
    let reply: ReplyMessage<Result | CommonResult>;
    try {
      if (isCancelled(cancellation, id)) throw new Error('nobody waits for it any more');
      const isUnwanted = () => isCancelled(cancellation, id) || isEnding(gate);
      reply = { id, ok: true, result: await throughGate(gate, () => handle(request, isUnwanted)) };
    } catch (error) {
      reply = { id, ok: false, message: error instanceof Error ? error.message : String(error) };
    }
    port!.postMessage(
      reply,
      reply.ok && reply.result.kind === 'ran' ? buffers(reply.result as RunResult) : [],
    );
  }
}

function buffers({ outputs, inputs }: RunResult): ArrayBuffer[] {
  const all = new Set<ArrayBuffer>();
  for (const { data } of [...outputs, ...inputs])
    if (data.buffer instanceof ArrayBuffer) all.add(data.buffer);
  return [...all];
}
