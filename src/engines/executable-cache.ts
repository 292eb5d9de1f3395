/** Executables by key, so that each program is compiled once per shape; the least recently used are let go. */
import type { Executable } from './engine.ts';

export class ExecutableCache {
  readonly #capacity: number;
  /** In the order of last use. A compilation under way is shared by all who ask for it. */
  readonly #entries = new Map<string, Promise<Executable>>();

  /** Keeps at most `capacity` executables. */
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

  /** Whether the executable for `key` is held or being compiled. */
  has(key: string): boolean {
    return this.#entries.has(key);
  }

  /** The executable for `key`, compiled now if it is not there. A compilation that fails is not kept. */
  async get(key: string, compile: () => Promise<Executable>): Promise<Executable> {
    const known = this.#entries.get(key);
    if (known) {
      this.#entries.delete(key);
      this.#entries.set(key, known);
      return known;
    }
    const made = compile();
    this.#entries.set(key, made);
    try {
      await made;
    } catch (error) {
      if (this.#entries.get(key) === made) this.#entries.delete(key);
      throw error;
    }
    await this.#evict();
    return made;
  }

  /** Disposes of every executable. The cache stays usable. */
  async dispose(): Promise<void> {
    const entries = [...this.#entries.values()];
    this.#entries.clear();
    // A compilation that failed has told whoever asked for it, and left nothing to free.
    const settled = await Promise.allSettled(entries);
    await Promise.all(
      settled.map((entry) => (entry.status === 'fulfilled' ? entry.value.dispose() : undefined)),
    );
  }

  async #evict(): Promise<void> {
    while (this.#entries.size > this.#capacity) {
      const [key, entry] = this.#entries.entries().next().value!;
      this.#entries.delete(key);
      const [settled] = await Promise.allSettled([entry]);
      if (settled.status === 'fulfilled') await settled.value.dispose();
    }
  }
}
