/**
 * Executables by key, on loan: each program is compiled once for every shape, the least recently used are let go, and
 * none while somebody uses it.
 */
import type { Executable } from './engine.ts';

interface Entry {
  /** A compilation under way is shared by all who ask for it. */
  readonly compiled: Promise<Executable>;
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
   * too many were let go. A compilation that fails is told to all who wait for it, and not kept. Rejects after
   * `dispose`.
   */
  async use<T>(
    key: string,
    compile: () => Promise<Executable>,
    work: (executable: Executable) => Promise<T>,
  ): Promise<T> {
    if (this.#closed) throw new Error(`the executable for ${key} was disposed of`);
    const loan = this.#lend(key, compile, work);
    this.#loans.add(loan);
    try {
      return await loan;
    } finally {
      this.#loans.delete(loan);
    }
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
    compile: () => Promise<Executable>,
    work: (executable: Executable) => Promise<T>,
  ): Promise<T> {
    const entry = this.#entries.get(key) ?? { compiled: this.#compiled(compile), loans: 0 };
    // To the end of the order.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.loans++;
    try {
      const executable = await entry.compiled.catch((error) => {
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
        throw error;
      });
      return await work(executable);
    } finally {
      entry.loans--;
      // Whoever takes the next of several steps asks for it again at once: it is not the one to go.
      this.#trim(entry);
    }
  }

  /** What is let go is gone before more memory is taken. */
  async #compiled(compile: () => Promise<Executable>): Promise<Executable> {
    this.#trim(undefined, this.#capacity - 1);
    // One with which that fails is told of by `dispose`.
    await Promise.allSettled(this.#leaving);
    return compile();
  }

  /** Lets go of those that are too many, the least recently used first; of no one in use, nor of `but`. */
  #trim(but?: Entry, capacity = this.#capacity): void {
    for (const [key, entry] of this.#entries) {
      if (!this.#closed && this.#entries.size <= capacity) return;
      if (entry.loans > 0 || (entry === but && !this.#closed)) continue;
      this.#entries.delete(key);
      const gone = entry.compiled.then((executable) => executable.dispose());
      this.#leaving.add(gone);
      gone.then(
        () => this.#leaving.delete(gone),
        () => {},
      );
    }
  }
}
