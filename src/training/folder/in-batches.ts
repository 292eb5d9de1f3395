/** Doing something with each of many files, some at a time. */

export interface InBatchesOptions {
  readonly signal?: AbortSignal | undefined;
  /** Hears now and then how many are done. */
  readonly onDone?: (done: number) => void;
}

/** As many as keep the system's threads for files busy, and few enough open files. */
const AT_ONCE = 32;

/** What `use` gives for each item, in their order. */
export async function inBatches<T, R>(
  items: readonly T[],
  use: (item: T) => Promise<R>,
  { signal, onDone }: InBatchesOptions = {},
): Promise<R[]> {
  const results: R[] = [];
  for (let start = 0; start < items.length; start += AT_ONCE) {
    signal?.throwIfAborted();
    results.push(...(await Promise.all(items.slice(start, start + AT_ONCE).map(use))));
    onDone?.(results.length);
  }
  return results;
}
