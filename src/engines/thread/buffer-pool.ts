/**
 * Memory for copies that travel to the worker thread and come back. Touching fresh memory costs several times more
 * than copying into memory that was used before, and a training step sends the same tens of megabytes every time.
 */
import type { TypedArray } from '../../graph/dtype.ts';

export class BufferPool {
  readonly #free = new Map<number, ArrayBuffer[]>();

  /** A copy of `data` in memory of its own, which may be transferred. */
  copy<T extends TypedArray>(data: T): T {
    const buffer = this.#free.get(data.byteLength)?.pop() ?? new ArrayBuffer(data.byteLength);
    new Uint8Array(buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return new (data.constructor as new (buffer: ArrayBuffer) => T)(buffer);
  }

  /** Takes back the memory of a copy. */
  release({ buffer }: TypedArray): void {
    if (!(buffer instanceof ArrayBuffer) || buffer.byteLength === 0) return;
    const free = this.#free.get(buffer.byteLength);
    if (free) free.push(buffer);
    else this.#free.set(buffer.byteLength, [buffer]);
  }

  clear(): void {
    this.#free.clear();
  }
}
