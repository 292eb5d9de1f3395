/** Waiting that an AbortSignal ends at once, while the work itself may go on unheard. */

/** What `work` gives, or a rejection with the signal's reason as soon as it is aborted. */
export function abortable<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) abort();
    const waiting = waitingFor(signal);
    waiting.add(abort);
    work.then(resolve, reject).finally(() => waiting.delete(abort));
  });
}

/** Those who wait for each signal. They share one listener: Node takes more than ten for a leak, and says so. */
const everyone = new WeakMap<AbortSignal, Set<() => void>>();

function waitingFor(signal: AbortSignal): Set<() => void> {
  const known = everyone.get(signal);
  if (known) return known;
  const waiting = new Set<() => void>();
  everyone.set(signal, waiting);
  const abortAll = () => {
    for (const abort of waiting) abort();
  };
  signal.addEventListener('abort', abortAll, { once: true });
  return waiting;
}
