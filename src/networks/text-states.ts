/**
 * What text encoders said of the prompts of earlier requests, so that the same prompts need no run. Prompts are looked up
 * as they were encoded, together: a row may differ in its last bits beside other rows.
 */
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Network, Tensors } from './network.ts';

/** Of Stable Diffusion 1.5, 270 prompts. */
const MOST_BYTES = 2 ** 26;

export class TextStates {
  readonly #mostBytes: number;
  /** In the order of last use. */
  readonly #known = new Map<string, Tensors>();
  #bytes = 0;

  /** Keeps results of at most so many bytes; none that is larger. */
  constructor(mostBytes = MOST_BYTES) {
    this.#mostBytes = mostBytes;
  }

  /** What `encode` gave for the same ids and the same network before; else what it gives now. ids: [U, L] int64. */
  async of(network: Network, ids: HostTensor, encode: () => Promise<Tensors>): Promise<Tensors> {
    const key = JSON.stringify([network.name, network.variation, ids.shape, Array.from(ids.data, String)]);
    const known = this.#known.get(key);
    if (known) {
      // To the end of the order.
      this.#known.delete(key);
      this.#known.set(key, known);
      return known;
    }
    const states = await encode();
    this.#keep(key, states);
    return states;
  }

  #keep(key: string, states: Tensors): void {
    const bytes = bytesOf(states);
    if (bytes > this.#mostBytes || this.#known.has(key)) return;
    this.#known.set(key, states);
    this.#bytes += bytes;
    for (const [oldest, tensors] of this.#known) {
      if (this.#bytes <= this.#mostBytes) return;
      this.#known.delete(oldest);
      this.#bytes -= bytesOf(tensors);
    }
  }
}

function bytesOf(tensors: Tensors): number {
  return Object.values(tensors).reduce((bytes, { data }) => bytes + data.byteLength, 0);
}
