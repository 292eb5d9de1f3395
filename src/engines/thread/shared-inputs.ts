/**
 * Inputs in memory that all threads see, such as weights that are trained: nobody copies them on the main thread, and the
 * engine's thread, which may not hand such memory to its runtime, has a copy of its own that it fills before every run.
 */
import type { TypedArray } from '../../graph/dtype.ts';
import type { KeptInput, RunRequest, WireTensor } from './messages.ts';

export function isShared({ buffer }: TypedArray): boolean {
  return buffer instanceof SharedArrayBuffer;
}

/** A thread's copies, for each of its sessions by the input's name. */
export class SharedInputs {
  readonly #copies = new Map<number, Map<string, TypedArray>>();

  /** The values of a run, those in shared memory as they are now. */
  own({ session, inputs }: RunRequest): (WireTensor | KeptInput)[] {
    return inputs.map((input) =>
      'data' in input && isShared(input.data)
        ? { ...input, data: this.#copy(session, input.name, input.data) }
        : input,
    );
  }

  /** Lets go of a session's copies. */
  release(session: number): void {
    this.#copies.delete(session);
  }

  #copy(session: number, name: string, data: TypedArray): TypedArray {
    const copies = this.#copies.get(session) ?? new Map<string, TypedArray>();
    this.#copies.set(session, copies);
    const known = copies.get(name);
    const copy = known?.byteLength === data.byteLength ? known : allocateLike(data);
    copies.set(name, copy);
    new Uint8Array(copy.buffer).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return copy;
  }
}

function allocateLike<T extends TypedArray>(data: T): T {
  return new (data.constructor as new (length: number) => T)(data.length);
}
