/** mt19937 (Matsumoto and Nishimura 1998): the stream of 32-bit words under PyTorch's CPU generator. */

const N = 624;
const M = 397;

export interface MersenneTwisterState {
  /** 624 untempered 32-bit words. */
  readonly words: readonly number[];
  /** How many of them have been handed out, 0 to 624. */
  readonly used: number;
}

export class MersenneTwister {
  readonly #words = new Uint32Array(N);
  #used = N;

  /** Starts the stream of `seed`, a 32-bit unsigned integer (the reference code's init_genrand). */
  constructor(seed: number) {
    this.#words[0] = seed;
    for (let i = 1; i < N; i++) {
      const previous = this.#words[i - 1]!;
      this.#words[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
    }
  }

  /** The next word, 0 to 2³² − 1. */
  next(): number {
    if (this.#used === N) this.#refill();
    let y = this.#words[this.#used++]!;
    y ^= y >>> 11;
    y ^= (y << 7) & 0x9d2c5680;
    y ^= (y << 15) & 0xefc60000;
    return (y ^ (y >>> 18)) >>> 0;
  }

  getState(): MersenneTwisterState {
    return { words: Array.from(this.#words), used: this.#used };
  }

  setState(state: MersenneTwisterState): void {
    this.#words.set(state.words);
    this.#used = state.used;
  }

  #refill(): void {
    const words = this.#words;
    for (let i = 0; i < N; i++) {
      const y = (words[i]! & 0x80000000) | (words[(i + 1) % N]! & 0x7fffffff);
      words[i] = words[(i + M) % N]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    this.#used = 0;
  }
}
