/**
 * A small counter-keyed generator: `createRandom(seed, split, index, stream)` opens an independent stream of
 * numbers, so that any picture of a data set can be drawn without drawing the ones before it.
 */

export interface Random {
  /** Uniform in [0, 1), 32 bits. */
  next(): number;
  /** Uniform in [low, high). */
  uniform(low: number, high: number): number;
  /** A whole number in 0..count-1. */
  integer(count: number): number;
  chance(probability: number): boolean;
  pick<T>(items: readonly T[]): T;
  /** One of the items with probability proportional to its weight. */
  weighted<T>(table: readonly (readonly [item: T, weight: number])[]): T;
  /** A new array in random order (Fisher–Yates). */
  shuffle<T>(items: readonly T[]): T[];
}

/** MurmurHash3's finaliser: every input bit changes about half of the output bits. */
function mix(value: number): number {
  let h = value;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/**
 * Opens the stream named by the key words (taken mod 2^32). The generator is sfc32 (Chris Doty-Humphrey's
 * PractRand), whose state is filled by hashing the key.
 */
export function createRandom(...key: number[]): Random {
  let hash = 0x9e3779b9;
  for (const word of key) hash = mix(Math.imul(hash ^ word, 0x9e3779b1) + 0x7f4a7c15);
  let a = mix(hash + 1);
  let b = mix(hash + 2);
  let c = mix(hash + 3);
  let counter = 1;

  function next(): number {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return (sum >>> 0) / 2 ** 32;
  }
  for (let i = 0; i < 12; i++) next(); // the author's warm-up

  const integer = (count: number): number => Math.floor(next() * count);
  return {
    next,
    integer,
    uniform: (low, high) => low + (high - low) * next(),
    chance: (probability) => next() < probability,
    pick: (items) => items[integer(items.length)]!,
    weighted(table) {
      let rest = next() * table.reduce((sum, [, weight]) => sum + weight, 0);
      for (const [item, weight] of table) {
        rest -= weight;
        if (rest < 0) return item;
      }
      return table[table.length - 1]![0];
    },
    shuffle(items) {
      const shuffled = [...items];
      for (let i = shuffled.length - 1; i > 0; i--) {
        const j = integer(i + 1);
        [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
      }
      return shuffled;
    },
  };
}
