/**
 * Keeps a process from ending in the middle of a runtime's code: ONNX Runtime's binding aborts the whole process ("terminate
 * called after throwing an instance of Napi::Error") when its thread is torn down while it computes. So whoever calls
 * `process.exit`, or throws what nobody catches, waits for the operation that is under way, and none follows it.
 */

/** Two numbers that both threads see: whether the worker computes, and whether the process is ending. */
export type Gate = Int32Array<SharedArrayBuffer>;

const BUSY = 0;
const ENDING = 1;

export function createGate(): Gate {
  return new Int32Array(new SharedArrayBuffer(8));
}

/** In the worker: runs `work`, or throws when the process is ending. */
export async function throughGate<T>(gate: Gate, work: () => Promise<T>): Promise<T> {
  Atomics.store(gate, BUSY, 1);
  try {
    // Between the two threads the order is: busy, ending? against ending, busy? — one of them sees the other.
    if (isEnding(gate)) throw new Error('the process is ending');
    return await work();
  } finally {
    Atomics.store(gate, BUSY, 0);
    Atomics.notify(gate, BUSY);
  }
}

/** In the worker: whether the process waits for it in order to end. */
export function isEnding(gate: Gate): boolean {
  return Atomics.load(gate, ENDING) === 1;
}

const gates = new Set<Gate>();

/** In the main thread: holds the end of the process until the worker behind `gate` rests. Returns how to let go. */
export function holdExit(gate: Gate): () => void {
  if (gates.size === 0) process.on('exit', closeGates);
  gates.add(gate);
  return () => {
    gates.delete(gate);
    if (gates.size === 0) process.off('exit', closeGates);
  };
}

function closeGates(): void {
  for (const gate of gates) {
    Atomics.store(gate, ENDING, 1);
    // Returns at once when the worker is not busy.
    Atomics.wait(gate, BUSY, 1);
  }
}
