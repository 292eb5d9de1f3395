/**
 * An update on several threads, each with a part of the parameters. The arrays lie in memory that all of them see; only
 * gradients travel. Which thread does what changes no bit of the result.
 */
import { WorkerClient } from '../../engines/thread/worker-client.ts';
import type { Span, UpdateArrays, UpdateNumbers } from './update-part.ts';

/** What a thread of the update is asked. */
export type UpdateRequest =
  | { readonly kind: 'open'; readonly arrays: UpdateArrays; readonly spans: readonly Span[] }
  | { readonly kind: 'gather'; readonly shares: readonly (readonly Float32Array[])[] }
  | { readonly kind: 'apply'; readonly numbers: UpdateNumbers }
  | { readonly kind: 'close' };

export type UpdateReply =
  | { readonly kind: 'done' }
  | { readonly kind: 'gathered'; readonly squares: readonly number[] };

interface Part {
  readonly client: WorkerClient<UpdateRequest, UpdateReply>;
  /** Its spans: the first, and how many. */
  readonly first: number;
  readonly count: number;
}

export class UpdateThreads {
  readonly #parts: readonly Part[];

  private constructor(parts: readonly Part[]) {
    this.#parts = parts;
  }

  /** The arrays have to lie in shared memory. */
  static async open(arrays: UpdateArrays, spans: readonly Span[], threads: number): Promise<UpdateThreads> {
    const parts = equalParts(spans, threads).map(({ first, count }) => ({
      first,
      count,
      client: new WorkerClient<UpdateRequest, UpdateReply>({ beside: import.meta.url, runtime: 'update' }),
    }));
    await Promise.all(
      parts.map(({ client, first, count }) =>
        client.request({ kind: 'open', arrays, spans: spans.slice(first, first + count) }),
      ),
    );
    return new UpdateThreads(parts);
  }

  /** shares: of each engine the gradients of all spans, each in memory of its own, which is handed over. */
  async gather(shares: readonly (readonly Float32Array[])[]): Promise<number[]> {
    const replies = await Promise.all(
      this.#parts.map(({ client, first, count }) => {
        const own = shares.map((gradients) => gradients.slice(first, first + count));
        const memory = own.flat().flatMap(({ buffer }) => (buffer instanceof ArrayBuffer ? [buffer] : []));
        return client.request({ kind: 'gather', shares: own }, memory);
      }),
    );
    return replies.flatMap((reply) => (reply.kind === 'gathered' ? reply.squares : []));
  }

  async apply(numbers: UpdateNumbers): Promise<void> {
    await Promise.all(this.#parts.map(({ client }) => client.request({ kind: 'apply', numbers })));
  }

  async close(): Promise<void> {
    await Promise.all(this.#parts.map(({ client }) => client.close({ kind: 'close' })));
  }
}

/** Neighbouring spans in at most `count` parts of about the same number of elements. */
function equalParts(spans: readonly Span[], count: number): { first: number; count: number }[] {
  const total = spans.reduce((sum, { length }) => sum + length, 0);
  const parts: { first: number; count: number }[] = [];
  let first = 0;
  let seen = 0;
  spans.forEach(({ length }, i) => {
    seen += length;
    if (seen < (total * (parts.length + 1)) / count && i < spans.length - 1) return;
    parts.push({ first, count: i + 1 - first });
    first = i + 1;
  });
  return parts;
}
