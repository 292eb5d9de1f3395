/**
 * The element-wise work of an update on a part of the parameters, which is what one thread does of it: the mean of the
 * gradients that several engines computed, then AdamW and the averages.
 */
import { type AdamWConstants, createUpdateKernel, type UpdateKernel } from './update-kernel.ts';

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
const BLOCK = 16_384;

export class UpdatePart {
  readonly #arrays: UpdateArrays;
  readonly #spans: readonly Span[];
  readonly #kernel: UpdateKernel;

  constructor(arrays: UpdateArrays, spans: readonly Span[], kernel = createUpdateKernel(BLOCK)) {
    this.#arrays = arrays;
    this.#spans = spans;
    this.#kernel = kernel;
  }

  /** shares: of each engine the gradients of the spans. Keeps their mean, and gives the sum of squares of each span. */
  gather(shares: readonly (readonly Float32Array[])[]): number[] {
    return this.#spans.map(({ offset, length }, i) =>
      this.#mean(
        this.#arrays.gradient.subarray(offset, offset + length),
        shares.map((gradients) => gradients[i]!),
      ),
    );
  }

  /** Updates parameters, moments and averages from the gradient that was gathered. */
  apply({ keep, averageDecays, ...constants }: UpdateNumbers): void {
    const { parameters, gradient, firstMoment, secondMoment, averages } = this.#arrays;
    for (const { offset, length, decays } of this.#spans) {
      for (const [from, to] of blocks(offset, offset + length)) {
        const values = parameters.subarray(from, to);
        this.#kernel.adamW(
          values,
          gradient.subarray(from, to),
          firstMoment.subarray(from, to),
          secondMoment.subarray(from, to),
          { ...constants, keep: decays ? keep : 1 },
        );
        averages.forEach((average, i) => {
          this.#kernel.follow(average.subarray(from, to), values, averageDecays[i]!);
        });
      }
    }
  }

  /** Writes the mean of arrays to `result` and gives its sum of squares. */
  #mean(result: Float32Array, [first, ...others]: readonly Float32Array[]): number {
    const factor = 1 / (1 + others.length);
    let squares = 0;
    for (const [from, to] of blocks(0, result.length)) {
      const block = result.subarray(from, to);
      block.set(first!.subarray(from, to));
      const rest = others.map((other) => other.subarray(from, to));
      const last = rest.pop() ?? new Float32Array(to - from);
      for (const other of rest) this.#kernel.scaledSum(block, block, other, 1);
      squares += this.#kernel.scaledSum(block, block, last, factor);
    }
    return squares;
  }
}

/** From `start` to `end` in steps of a block. */
function blocks(start: number, end: number): [from: number, to: number][] {
  return Array.from({ length: Math.ceil((end - start) / BLOCK) }, (_, i) => [
    start + i * BLOCK,
    Math.min(start + (i + 1) * BLOCK, end),
  ]);
}
