/** Timing on machines that are shared and noisy: the best of several runs is the least disturbed one. */

export interface Timing {
  /** Seconds of the fastest run. */
  readonly best: number;
  /** Seconds of the run in the middle. */
  readonly median: number;
  readonly runs: number;
}

/** Runs `work` for about `seconds`, at least `atLeast` times, after one run that is not counted. */
export async function measure(
  work: () => Promise<unknown>,
  { seconds = 5, atLeast = 3 }: { readonly seconds?: number; readonly atLeast?: number } = {},
): Promise<Timing> {
  await work();
  const times: number[] = [];
  const end = performance.now() + seconds * 1000;
  while (times.length < atLeast || performance.now() < end) {
    const start = performance.now();
    await work();
    times.push((performance.now() - start) / 1000);
  }
  times.sort((a, b) => a - b);
  return { best: times[0]!, median: times[times.length >> 1]!, runs: times.length };
}
