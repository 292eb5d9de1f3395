/** Chance that belongs to one input: the same for the same seed, kind and index, in every process. */
import { createHash } from 'node:crypto';
import { Generator } from '../../src/random/generator.ts';

export class Random {
  readonly #generator: Generator;

  constructor(...identity: readonly (string | number)[]) {
    this.#generator = new Generator(createHash('sha256').update(identity.join('/')).digest().readUInt32LE());
  }

  /** From 0 to below `count`. */
  below(count: number): number {
    return this.#generator.uint32() % count;
  }

  chance(share: number): boolean {
    return this.#generator.uint32() < share * 2 ** 32;
  }

  pick<T>(values: readonly T[]): T {
    const picked = values[this.below(values.length)];
    if (picked === undefined && values.length === 0) throw new Error('there is nothing to pick from');
    return picked as T;
  }

  /** `least` to `most` times. */
  times(least: number, most: number, work: () => void): void {
    for (let left = least + this.below(most - least + 1); left > 0; left--) work();
  }
}
