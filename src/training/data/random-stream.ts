/** Random numbers keyed by what they are for, so that batch k can be made without making the ones before it. */
import { Generator } from '../../random/generator.ts';

/** The generator of a stream named by whole numbers, e.g. (seed, purpose, step). */
export function randomStream(...key: readonly number[]): Generator {
  let hash = 0x9e3779b9;
  for (const word of key) hash = mix(Math.imul(hash ^ word, 0x9e3779b1) + 0x7f4a7c15);
  return new Generator(hash);
}

/**
 * Index `position` of an endless walk through 0…size − 1 in which every pass has an order of its own. Where the data
 * themselves are in random order (`shuffled`), the first pass takes them as they come.
 */
export class ShuffledIndices {
  readonly #seed: number;
  readonly #size: number;
  readonly #shuffled: boolean;
  #pass = -1;
  #order: Uint32Array = new Uint32Array();

  constructor(seed: number, size: number, shuffled = false) {
    this.#seed = seed;
    this.#size = size;
    this.#shuffled = shuffled;
  }

  at(position: number): number {
    const pass = Math.floor(position / this.#size);
    if (pass === 0 && this.#shuffled) return position;
    if (pass !== this.#pass) {
      this.#order = randomStream(this.#seed, pass).randperm(this.#size);
      this.#pass = pass;
    }
    return this.#order[position % this.#size]!;
  }
}

/** MurmurHash3's finaliser: every input bit changes about half of the output bits. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}
