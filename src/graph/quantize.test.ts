import { describe, expect, it } from 'vitest';
import { createReferenceEngine } from '../engines/reference/engine.ts';
import type { Weights } from '../weights/weights.ts';
import { hostTensor } from './host-tensor.ts';
import { memoryUse } from './memory.ts';
import * as ops from './operators/index.ts';
import { type Program, program } from './program.ts';
import { quantizations, quantized } from './quantize.ts';
import { input, parameter } from './tensor.ts';

const wave = (seed: number, length: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed + i * 1.7) + Math.cos(seed * 3 + i * 0.31));

/** A convolution, two linear layers that share a weight, and one that is too small to be worth it. */
function network(): Program {
  const x = input('x', [1, 16, 6, 6]);
  const conv = ops.conv2d(
    x,
    ops.multiply(parameter('conv', [128, 16, 3, 3]), 2),
    parameter('conv.bias', [128]),
  );
  const rows = ops.reshape(ops.transpose(conv, [0, 2, 3, 1]), [16, 128]);
  const shared = ops.cast(parameter('shared', [128, 128]), 'float32');
  const first = ops.gemm(rows, shared, parameter('shared.bias', [128]), { transposeB: true });
  const second = ops.gemm(ops.tanh(first), shared, undefined, { transposeB: true });
  return program({
    y: ops.gemm(second, parameter('small', [8, 128]), undefined, { transposeB: true }),
    second,
  });
}

const weights: Weights = new Map(
  [...network().parameters].map(([name, { shape }], i) => {
    const data = wave(
      i,
      shape.reduce((product, size) => product * size, 1),
    ).map((value) => value / 16);
    const storage = { kind: 'bytes', bytes: new Uint8Array(data.buffer) } as const;
    return [name, { dtype: 'float32', shape, storage }];
  }),
);

async function run(whole: Program): Promise<Float32Array> {
  const executable = await createReferenceEngine().compile(whole, { weights });
  const { y } = await executable.run({ x: hostTensor(wave(9, 16 * 36), [1, 16, 6, 6]) });
  return y!.data as Float32Array;
}

const types = ({ operations }: Program) => operations.map(({ type }) => type);
const count = (whole: Program, type: string) => types(whole).filter((each) => each === type).length;

describe.each(quantizations)('a program in %s', (kind) => {
  it('computes nearly the same', async () => {
    const [plain, rounded] = [await run(network()), await run(quantized(network(), kind))];
    const power = (values: Float32Array) => values.reduce((sum, value) => sum + value ** 2, 0);
    const error = rounded.map((value, i) => value - plain[i]!);
    expect(power(error)).toBeGreaterThan(0);
    // 27 dB, for three layers one after the other.
    expect(power(error)).toBeLessThan(2e-3 * power(plain));
  });

  it('has the same outputs, and inputs, and weights', () => {
    const [plain, rounded] = [network(), quantized(network(), kind)];
    for (const part of ['inputs', 'parameters', 'outputs'] as const) {
      const shapes = (whole: Program) =>
        [...whole[part]].map(([name, { shape, dtype }]) => [name, shape, dtype]);
      expect(shapes(rounded).toSorted()).toEqual(shapes(plain).toSorted());
    }
  });

  it('rounds each large weight once, and leaves small ones alone', () => {
    const rounded = quantized(network(), kind);
    expect(count(rounded, 'QuantizeLinear')).toBe(2);
    expect(count(rounded, 'Gemm') + count(rounded, 'DynamicQuantizeMatMul')).toBe(3);
    expect(count(rounded, 'DynamicQuantizeMatMul')).toBe(kind === 'int8-dynamic' ? 2 : 0);
  });

  it('holds a quarter of the bytes', () => {
    const bytes = (whole: Program) => memoryUse(whole).weights;
    expect(bytes(quantized(network(), kind))).toBeLessThan(0.3 * bytes(network()));
  });
});
