/**
 * Executables by key, on loan: each program is compiled once for every shape, the least recently used are let go, and
 * none while somebody uses it.
 */
import { abortable } from './abortable.ts';
import type { Executable } from './engine.ts';

/** unwanted: aborted when nobody waits for the executable any more. */
export type Compile = (unwanted: AbortSignal) => Promise<Executable>;

interface Entry {
  /** A compilation under way is shared by all who ask for it. */
  readonly compiled: Promise<Executable>;
  readonly unwanted: AbortController;
  /** How many use it, or wait for it. */
  loans: number;
}

export class ExecutableCache {
  readonly #capacity: number;
  /** In the order of last use. */
  readonly #entries = new Map<string, Entry>();
  readonly #loans = new Set<Promise<unknown>>();
  /** Executables that are being disposed of, and those with which that failed. */
  readonly #leaving = new Set<Promise<void>>();
  #closed = false;

  /** Keeps at most `capacity` executables; more only while more are in use at once. */
  constructor(capacity = 8) {
    if (!Number.isInteger(capacity) || capacity < 1) {
      throw new RangeError(`an executable cache holds at least 1 executable, got a capacity of ${capacity}`);
    }
    this.#capacity = capacity;
  }

  /** The number of executables held or being compiled. */
  get size(): number {
    return this.#entries.size;
  }

  /**
   * Lends the executable for `key` until `work` is done; it is compiled now if it is not there, after those that are
   * too many were let go. A compilation that fails is told to all who wait for it, and not kept; one that all have given
   * up is not begun, if the engine has not. Rejects with the reason of a signal that is aborted meanwhile, and after
   * `dispose`.
   */
  async use<T>(
    key: string,
    compile: Compile,
    work: (executable: Executable) => Promise<T>,
    signal?: AbortSignal,
  ): Promise<T> {
    const loan = this.#lend(key, compile, work, signal);
    this.#loans.add(loan);
    try {
      return await loan;
    } finally {
      this.#loans.delete(loan);
    }
  }

  /** Lets go of the executable for `key`, unless somebody uses it; done when it is gone. */
  async letGo(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (entry && entry.loans === 0) await this.#remove(key, entry);
  }

  /** Disposes of every executable, of those on loan when they come back. Nothing can be used from now on. */
  async dispose(): Promise<void> {
    this.#closed = true;
    this.#trim();
    await Promise.allSettled(this.#loans);
    await Promise.all(this.#leaving);
  }

  async #lend<T>(
    key: string,
    compile: Compile,
    work: (executable: Executable) => Promise<T>,
    signal: AbortSignal | undefined,
  ): Promise<T> {
    if (this.#closed) throw new Error(`the executable for ${key} was disposed of`);
    signal?.throwIfAborted();
    const entry = this.#entries.get(key) ?? this.#compiled(key, compile);
    // To the end of the order.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.loans++;
    try {
      const executable = await abortable(entry.compiled, signal).catch((error) => {
        if (signal?.aborted || !entry.unwanted.signal.aborted) throw error;
      });
      // All others gave it up before this one came to wait for it.
      if (!executable) return await this.#lend(key, compile, work, signal);
      return await work(executable);
    } finally {
      entry.loans--;
      if (entry.loans === 0) entry.unwanted.abort(signal?.reason);
      // Whoever takes the next of several steps asks for it again at once: it is not the one to go.
      this.#trim(entry);
    }
  }

  #compiled(key: string, compile: Compile): Entry {
    const unwanted = new AbortController();
    const makeRoom = async () => {
      this.#trim(undefined, this.#capacity - 1);
      // What is let go is gone before more memory is taken. One with which that fails is told of by `dispose`.
      await Promise.allSettled(this.#leaving);
      unwanted.signal.throwIfAborted();
      return compile(unwanted.signal);
    };
    const entry = { compiled: makeRoom(), unwanted, loans: 0 };
    entry.compiled.catch(() => {
      if (this.#entries.get(key) === entry) this.#entries.delete(key);
    });
    return entry;
  }

  /** Lets go of those that are too many, the least recently used first; of no one in use, nor of `but`. */
  #trim(but?: Entry, capacity = this.#capacity): void {
    for (const [key, entry] of this.#entries) {
      if (!this.#closed && this.#entries.size <= capacity) return;
      if (entry.loans > 0 || (entry === but && !this.#closed)) continue;
      this.#remove(key, entry).catch(() => {}); // `dispose` tells of it
    }
  }

  #remove(key: string, { compiled }: Entry): Promise<void> {
    this.#entries.delete(key);
    const gone = compiled.then(
      (executable) => executable.dispose(),
      () => {}, // nothing was compiled
    );
    this.#leaving.add(gone);
    return gone.then(() => void this.#leaving.delete(gone));
  }
}
