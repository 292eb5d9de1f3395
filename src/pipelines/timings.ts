/** How long each stage of the work took. */

/**
 * The stages of a generation; `encode` is there when it begins with a picture. `load` is compiling the networks, with
 * the reading of their weights; with low memory that is part of the stages that need them.
 */
export type Stage = 'load' | 'text' | 'encode' | 'denoise' | 'decode';

/** Seconds by stage, in the order in which they began. */
export type Timings<S extends string = Stage> = Readonly<Partial<Record<S, number>>>;

export class Stopwatch<S extends string = Stage> {
  readonly #seconds: Partial<Record<S, number>> = {};

  /** Adds the time until `work` is done to `stage`. */
  async time<T>(stage: S, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds[stage] = (this.#seconds[stage] ?? 0) + (performance.now() - start) / 1000;
    }
  }

  /** Adds what another stopwatch measured. */
  add(timings: Timings<S>): void {
    for (const [stage, seconds] of Object.entries(timings) as [S, number][]) {
      this.#seconds[stage] = (this.#seconds[stage] ?? 0) + seconds;
    }
  }

  get seconds(): Timings<S> {
    return { ...this.#seconds };
  }
}
