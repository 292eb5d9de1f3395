/**
 * Which requests nobody waits for any more. The thread of an engine hears no message while it computes, and finds many
 * waiting when it is done; so it looks here before it begins with one.
 */

/** Numbers that both threads see: in the place of a request, by its number, the one that was given up last. */
export type Cancellation = Int32Array<SharedArrayBuffer>;

/** Of more requests that are given up while they wait, some may be computed for nobody. */
const PLACES = 1024;

export function createCancellation(): Cancellation {
  return new Int32Array(new SharedArrayBuffer(4 * PLACES)).fill(-1);
}

/** id: a request's, from 0. */
export function cancel(cancellation: Cancellation, id: number): void {
  Atomics.store(cancellation, id % PLACES, id | 0);
}

export function isCancelled(cancellation: Cancellation, id: number): boolean {
  return Atomics.load(cancellation, id % PLACES) === (id | 0);
}
