/**
 * PyTorch's CPU generator: the same seed gives the numbers that `torch.Generator('cpu').manual_seed(seed)`
 * gives, in the same order, so that a picture or a training run can be compared with one made in Python.
 * Integers and uniforms are equal bit for bit; normals to a few units in the last place, because PyTorch
 * uses vector approximations of log, sin and cos. Sources: ATen/core/DistributionsHelper.h,
 * ATen/native/cpu/DistributionTemplates.h, c10/core/GeneratorImpl.h.
 */
import { InputError, UsageError } from '../errors.ts';
import { float32ToBfloat16, float32ToFloat16 } from '../graph/float16.ts';
import type { RandomSource } from '../layers/initializers.ts';
import { MersenneTwister, type MersenneTwisterState } from './mersenne-twister.ts';

/** Everything that decides what a generator draws next; survives JSON unchanged. */
export interface GeneratorState extends MersenneTwisterState {
  /** The second normal of a pair, kept for the next short draw. */
  readonly keptNormal: number | null;
}

/** Draws of this many normals and more are made in blocks of 16, fewer one pair at a time. */
const blockSize = 16;

/** torch's random numbers on the CPU, bit for bit: the Mersenne Twister and what torch makes of it. */
export class Generator implements RandomSource {
  readonly #twister: MersenneTwister;
  #keptNormal: number | null = null;

  /** @param seed an integer, taken modulo 2³² as PyTorch does. */
  constructor(seed: number | bigint) {
    if (typeof seed === 'number' && !Number.isSafeInteger(seed)) {
      throw new UsageError(`a seed is an integer (beyond 2^53 − 1 a bigint); got ${seed}`);
    }
    this.#twister = new MersenneTwister(Number(BigInt.asUintN(32, BigInt(seed))));
  }

  /** The next 32 random bits, 0 to 2³² − 1. */
  uint32(): number {
    return this.#twister.next();
  }

  /** `torch.rand(length)`: float32 in [0, 1), multiples of 2⁻²⁴. */
  uniform(length: number): Float32Array<ArrayBuffer> {
    const result = new Float32Array(length);
    for (let i = 0; i < length; i++) result[i] = this.#uniformSingle();
    return result;
  }

  /** `torch.rand(length, dtype=torch.float64)`: in [0, 1), multiples of 2⁻⁵³. */
  uniform64(length: number): Float64Array<ArrayBuffer> {
    const result = new Float64Array(length);
    for (let i = 0; i < length; i++) result[i] = this.#uniformDouble();
    return result;
  }

  /** `torch.randint(0, high, (length,))` for `high` up to 2³² − 1. */
  randint(high: number, length: number): Uint32Array<ArrayBuffer> {
    if (!Number.isInteger(high) || high < 1 || high >= 2 ** 32) {
      throw new RangeError(`randint: high must be an integer from 1 to 2^32 − 1, got ${high}`);
    }
    const result = new Uint32Array(length);
    for (let i = 0; i < length; i++) result[i] = this.uint32() % high;
    return result;
  }

  /** `torch.randperm(length)`: the integers 0 to length − 1, shuffled. */
  randperm(length: number): Uint32Array<ArrayBuffer> {
    const result = Uint32Array.from({ length }, (_, i) => i);
    for (let i = 0; i < length - 1; i++) {
      const j = i + (this.uint32() % (length - i));
      const kept = result[i]!;
      result[i] = result[j]!;
      result[j] = kept;
    }
    return result;
  }

  /** `torch.randn(length)`: float32. */
  normal(length: number): Float32Array<ArrayBuffer> {
    return this.#normal(new Float32Array(length));
  }

  /** `torch.randn(length, dtype=torch.float64)`. */
  normal64(length: number): Float64Array<ArrayBuffer> {
    return this.#normal(new Float64Array(length));
  }

  /** `torch.randn(length, dtype=torch.float16)`, as 16-bit patterns. */
  normalFloat16(length: number): Uint16Array {
    return float32ToFloat16(this.#normalToBeNarrowed(length));
  }

  /** `torch.randn(length, dtype=torch.bfloat16)`, as 16-bit patterns. */
  normalBfloat16(length: number): Uint16Array {
    return float32ToBfloat16(this.#normalToBeNarrowed(length));
  }

  getState(): GeneratorState {
    return { ...this.#twister.getState(), keptNormal: this.#keptNormal };
  }

  /** Continues where the generator that gave `state` stood. */
  setState(state: GeneratorState): void {
    const { words, used, keptNormal } = state;
    const isWord = (word: unknown) => Number.isInteger(word) && (word as number) >>> 0 === word;
    if (
      !Array.isArray(words) ||
      words.length !== 624 ||
      !words.every(isWord) ||
      !(Number.isInteger(used) && used >= 0 && used <= 624) ||
      !(keptNormal === null || typeof keptNormal === 'number')
    ) {
      throw new InputError(
        'not the state of a random generator: expected {words: 624 unsigned 32-bit integers, used: 0 to 624, ' +
          'keptNormal: number or null}',
      );
    }
    this.#twister.setState(state);
    this.#keptNormal = keptNormal;
  }

  /** Long draws are computed in the type of `out` throughout, short ones in float64 and then rounded. */
  #normal<A extends Float32Array | Float64Array>(out: A): A {
    const length = out.length;
    if (length < blockSize) {
      for (let i = 0; i < length; i++) out[i] = this.#normalDouble();
      return out;
    }
    const single = out instanceof Float32Array;
    const fillUniform = (start: number) => {
      for (let i = start; i < length; i++) out[i] = single ? this.#uniformSingle() : this.#uniformDouble();
    };
    const transform = (start: number) => {
      if (single) normalBlockSingle(out, start);
      else normalBlockDouble(out, start);
    };
    fillUniform(0);
    for (let i = 0; i + blockSize <= length; i += blockSize) transform(i);
    if (length % blockSize !== 0) {
      // PyTorch draws the last 16 afresh, over up to 15 values that were already finished.
      fillUniform(length - blockSize);
      transform(length - blockSize);
    }
    return out;
  }

  /**
   * The float32 numbers that PyTorch rounds for its 16-bit types. Here it draws block by block, so the last
   * block, again laid over the last 16 places, follows without the uniforms that float32 draws for the tail.
   */
  #normalToBeNarrowed(length: number): Float32Array {
    if (length < blockSize) return this.normal(length);
    const blocks = this.normal(Math.ceil(length / blockSize) * blockSize);
    const result = blocks.slice(0, length);
    result.set(blocks.subarray(-blockSize), length - blockSize);
    return result;
  }

  /** One normal in float64; every second call returns the other half of the previous pair. */
  #normalDouble(): number {
    const kept = this.#keptNormal;
    if (kept !== null) {
      this.#keptNormal = null;
      return kept;
    }
    const u1 = this.#uniformDouble();
    const u2 = this.#uniformDouble();
    const radius = Math.sqrt(-2 * Math.log1p(-u2));
    const theta = 2 * Math.PI * u1;
    this.#keptNormal = radius * Math.sin(theta);
    return radius * Math.cos(theta);
  }

  #uniformSingle(): number {
    return (this.uint32() & 0xffffff) * 2 ** -24;
  }

  #uniformDouble(): number {
    const high = this.uint32() & 0x1fffff;
    return (high * 2 ** 32 + this.uint32()) * 2 ** -53;
  }
}

const { fround } = Math;
const twoPiSingle = fround(2 * Math.PI);

/** Box and Muller's transform of 16 uniforms at `start`, u1 in the first eight, u2 in the last, in float32. */
function normalBlockSingle(data: Float32Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const u1 = 1 - data[j]!; // (0, 1], so that the logarithm is finite
    const radius = fround(Math.sqrt(-2 * fround(Math.log(u1))));
    const theta = fround(twoPiSingle * data[j + 8]!);
    data[j] = radius * fround(Math.cos(theta));
    data[j + 8] = radius * fround(Math.sin(theta));
  }
}

/** The same in float64. */
function normalBlockDouble(data: Float64Array, start: number): void {
  for (let j = start; j < start + 8; j++) {
    const radius = Math.sqrt(-2 * Math.log(1 - data[j]!));
    const theta = 2 * Math.PI * data[j + 8]!;
    data[j] = radius * Math.cos(theta);
    data[j + 8] = radius * Math.sin(theta);
  }
}
