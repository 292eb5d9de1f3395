/**
 * The element-wise work of an update on a part of the parameters, which is what one thread does of it: the mean of the
 * gradients that several engines computed, then AdamW and the averages.
 */
import { type AdamWConstants, type AdamWKernel, createAdamWKernel } from './adamw-kernel.ts';
import { follow } from './ema.ts';

/** All trained numbers, and what there is of each besides: arrays of one length. */
export interface UpdateArrays {
  readonly parameters: Float32Array;
  readonly gradient: Float32Array;
  readonly firstMoment: Float32Array;
  readonly secondMoment: Float32Array;
  readonly averages: readonly Float32Array[];
}

/** One parameter's place in the arrays. */
export interface Span {
  readonly offset: number;
  readonly length: number;
  readonly decays: boolean;
}

/** The numbers of one update. */
export interface UpdateNumbers extends Omit<AdamWConstants, 'keep'> {
  /** 1 − learning rate · weight decay, for parameters that decay. */
  readonly keep: number;
  /** The decay of each average. */
  readonly averageDecays: readonly number[];
}

/** Elements per pass: parameters, moments, gradient and averages of one block stay in the processor's cache. */
export const BLOCK = 16_384;

export class UpdatePart {
  readonly #arrays: UpdateArrays;
  readonly #spans: readonly Span[];
  readonly #kernel: AdamWKernel;

  constructor(arrays: UpdateArrays, spans: readonly Span[], kernel = createAdamWKernel(BLOCK)) {
    this.#arrays = arrays;
    this.#spans = spans;
    this.#kernel = kernel;
  }

  /** shares: of each engine the gradients of the spans. Keeps their mean, and gives the sum of squares of each span. */
  gather(shares: readonly (readonly Float32Array[])[]): number[] {
    return this.#spans.map(({ offset, length }, i) =>
      mean(
        this.#arrays.gradient.subarray(offset, offset + length),
        shares.map((gradients) => gradients[i]!),
      ),
    );
  }

  /** Updates parameters, moments and averages from the gradient that was gathered. */
  apply({ keep, averageDecays, ...constants }: UpdateNumbers): void {
    const { parameters, gradient, firstMoment, secondMoment, averages } = this.#arrays;
    for (const { offset, length, decays } of this.#spans) {
      for (let from = offset; from < offset + length; from += BLOCK) {
        const to = Math.min(from + BLOCK, offset + length);
        this.#kernel(
          parameters.subarray(from, to),
          gradient.subarray(from, to),
          firstMoment.subarray(from, to),
          secondMoment.subarray(from, to),
          { ...constants, keep: decays ? keep : 1 },
        );
        averages.forEach((average, i) => {
          follow(average, parameters, averageDecays[i]!, from, to);
        });
      }
    }
  }
}

/** Writes the mean of arrays to `result` and gives its sum of squares. NaN and infinity anywhere show in it. */
function mean(result: Float32Array, arrays: readonly Float32Array[]): number {
  const [first, ...others] = arrays as readonly [Float32Array, ...Float32Array[]];
  const last = others.pop();
  if (!last) {
    result.set(first);
    return sumOfSquares(result);
  }
  for (const other of others) for (let i = 0; i < first.length; i++) first[i] = first[i]! + other[i]!;
  const factor = 1 / arrays.length;
  // Block by block, so that the squares are taken of what is still in the processor's cache.
  let sum = 0;
  for (let from = 0; from < result.length; from += BLOCK) {
    const to = Math.min(from + BLOCK, result.length);
    for (let i = from; i < to; i++) result[i] = (first[i]! + last[i]!) * factor;
    sum += sumOfSquares(result.subarray(from, to));
  }
  return sum;
}

function sumOfSquares(x: Float32Array): number {
  // Four sums, because an addition may not start before the one it depends on has ended.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  const whole = x.length & ~3;
  for (let i = 0; i < whole; i += 4) {
    a += x[i]! * x[i]!;
    b += x[i + 1]! * x[i + 1]!;
    c += x[i + 2]! * x[i + 2]!;
    d += x[i + 3]! * x[i + 3]!;
  }
  for (let i = whole; i < x.length; i++) a += x[i]! * x[i]!;
  return a + b + (c + d);
}
