/** How long each stage of a generation took. */

/** The stages, in the order in which they happen. `load` is compiling the networks, with the reading of weights. */
export const stages = ['load', 'text', 'denoise', 'decode'] as const;
export type Stage = (typeof stages)[number];

/** Seconds by stage. */
export type Timings = Readonly<Record<Stage, number>>;

export class Stopwatch {
  readonly #seconds: Record<Stage, number> = { load: 0, text: 0, denoise: 0, decode: 0 };

  /** Adds the time until `work` is done to `stage`. */
  async time<T>(stage: Stage, work: () => Promise<T>): Promise<T> {
    const start = performance.now();
    try {
      return await work();
    } finally {
      this.#seconds[stage] += (performance.now() - start) / 1000;
    }
  }

  get timings(): Timings {
    return { ...this.#seconds };
  }
}
