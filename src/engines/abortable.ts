/** Waiting that an AbortSignal ends at once, while the work itself may go on unheard. */

/** What `work` gives, or a rejection with the signal's reason as soon as it is aborted. */
export function abortable<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const leave = onAbort(signal, () => reject(signal.reason));
    work.then(resolve, reject).finally(leave);
  });
}

/** Calls `listener` when the signal is aborted, or now if it is. Returns how not to be called any more. */
export function onAbort(signal: AbortSignal, listener: () => void): () => void {
  if (signal.aborted) {
    listener();
    return () => {};
  }
  const listeners = listenersTo(signal);
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/**
 * A signal that is aborted as soon as one of several is. Nothing holds on to it after `release`, however long the others
 * live (unlike what `AbortSignal.any` gives in Node 20).
 */
export function firstOf(...signals: readonly (AbortSignal | undefined)[]): {
  readonly signal: AbortSignal;
  readonly release: () => void;
} {
  const controller = new AbortController();
  const leave = signals.map((signal) => signal && onAbort(signal, () => controller.abort(signal.reason)));
  return {
    signal: controller.signal,
    release() {
      for (const each of leave) each?.();
    },
  };
}

/** Those who wait for each signal. They share one listener: Node takes more than ten for a leak, and says so. */
const everyone = new WeakMap<AbortSignal, Set<() => void>>();

function listenersTo(signal: AbortSignal): Set<() => void> {
  const known = everyone.get(signal);
  if (known) return known;
  const listeners = new Set<() => void>();
  everyone.set(signal, listeners);
  const callAll = () => {
    for (const listener of listeners) listener();
  };
  signal.addEventListener('abort', callAll, { once: true });
  return listeners;
}
