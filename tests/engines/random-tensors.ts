/** Small deterministic tensors for the tests of operators. */
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { elementCount } from '../../src/graph/shape.ts';

let state = 1;

/** Uniform in [0, 1) (a linear congruential generator: Knuth's constants, the upper bits). */
export function uniform(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return (state >>> 8) / 2 ** 24;
}

const floats = (shape: readonly number[], element: () => number): HostTensor =>
  hostTensor(Float32Array.from({ length: elementCount(shape) }, element), shape);

/** Uniform in (−1.5, 1.5). */
export const random = (shape: readonly number[]): HostTensor => floats(shape, () => 3 * uniform() - 1.5);

/** Uniform in (0.5, 2). */
export const positive = (shape: readonly number[]): HostTensor => floats(shape, () => 0.5 + 1.5 * uniform());

/** Uniform in (−1.5, 1.5), but at least 0.05 from each of `points`, where a function has a kink. */
export const awayFrom = (point: number, shape: readonly number[], ...more: number[]): HostTensor =>
  floats(shape, () => {
    for (;;) {
      const x = 3 * uniform() - 1.5;
      if ([point, ...more].every((kink) => Math.abs(x - kink) > 0.05)) return x;
    }
  });

/** int64 in [0, count). */
export const ids = (shape: readonly number[], count: number): HostTensor =>
  hostTensor(
    BigInt64Array.from({ length: elementCount(shape) }, () => BigInt(Math.floor(uniform() * count))),
    shape,
  );

export const bits = (shape: readonly number[]): HostTensor =>
  hostTensor(
    Uint8Array.from({ length: elementCount(shape) }, () => Math.round(uniform())),
    shape,
    'bool',
  );
