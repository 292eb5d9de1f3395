import { afterAll, describe, expect, test } from 'vitest';
import { hostTensor } from '../../graph/host-tensor.ts';
import { program } from '../../graph/program.ts';
import {
  constant,
  input,
  operation,
  operationWithOutputs,
  parameter,
  type Tensor,
} from '../../graph/tensor.ts';
import type { Weights } from '../../weights/weights.ts';
import { createNodeEngine } from './engine.ts';

const engine = createNodeEngine();
afterAll(() => engine.dispose());

const floats = (...values: number[]) => hostTensor(Float32Array.from(values), [values.length]);
const plus = (a: Tensor, b: Tensor) => operation('Add', [a, b], a.shape, a.dtype);

function bound(name: string, values: Float32Array): Weights {
  return new Map([
    [
      name,
      {
        dtype: 'float32',
        shape: [values.length],
        storage: { kind: 'bytes', bytes: new Uint8Array(values.buffer) },
      },
    ],
  ]);
}

describe('onnxruntime-node', () => {
  test('runs a program with bound and unbound parameters', async () => {
    const sum = plus(input('x', [3]), parameter('layer.weight', [3]));
    const unbound = await engine.compile(program({ sum }));
    const given = { x: floats(1, 2, 3), 'layer.weight': floats(10, 20, 30) };
    expect([...(await unbound.run(given)).sum!.data]).toEqual([11, 22, 33]);
    expect([...(await unbound.run(given)).sum!.data]).toEqual([11, 22, 33]);
    expect([...given.x.data]).toEqual([1, 2, 3]);

    const weights = bound('layer.weight', Float32Array.of(5, 6, 7));
    const fixed = await engine.compile(program({ sum }), { weights, name: 'fixed' });
    expect([...(await fixed.run({ x: floats(1, 2, 3) })).sum!.data]).toEqual([6, 8, 10]);
    await expect(fixed.run(given)).rejects.toThrow('fixed takes no input "layer.weight"');
  });

  test('gives outputs that are inputs, constants, large constants, twice the same, or one of several', async () => {
    const x = input('x', [4]);
    const big = new Float32Array(1000).map((_, i) => i);
    const [head, tail] = operationWithOutputs(
      'Split',
      [x],
      [
        { shape: [2], dtype: 'float32' },
        { shape: [2], dtype: 'float32' },
      ],
      { attributes: { num_outputs: { int: 2 }, axis: { int: 0 } } },
    );
    const outputs = {
      x,
      again: x,
      big: constant(hostTensor(big, [1000])),
      tail: tail!,
      tail2: tail!,
      head: head!,
    };
    const executable = await engine.compile(program(outputs));
    const result = await executable.run({ x: floats(1, 2, 3, 4) });
    expect(Object.keys(result)).toEqual(Object.keys(outputs));
    expect([...result.x!.data]).toEqual([1, 2, 3, 4]);
    expect([...result.again!.data]).toEqual([1, 2, 3, 4]);
    expect(result.big!.data).toEqual(big);
    expect([...result.tail!.data]).toEqual([3, 4]);
    expect([...result.tail2!.data]).toEqual([3, 4]);
    expect([...result.head!.data]).toEqual([1, 2]);
  });
});
