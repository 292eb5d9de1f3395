/** Letting signals and other requests have their turn in the midst of long work on the main thread. */
import { setImmediate } from 'node:timers/promises';

let last: Promise<unknown> = Promise.resolve();

/** Resolves in a turn of the event loop of its own: of those who wait at once, one after each turn. */
export function turn(): Promise<unknown> {
  last = last.then(() => setImmediate());
  return last;
}
