import { describe, expect, it } from 'vitest';
import { hostTensor } from '../graph/host-tensor.ts';
import { add, cast, matmul, multiply, split, tanh } from '../graph/operators/index.ts';
import { type Program, program } from '../graph/program.ts';
import { segments } from '../graph/segments.ts';
import { input, parameter, type Tensor } from '../graph/tensor.ts';
import type { Weights } from '../weights/weights.ts';
import { createReferenceEngine } from './reference/engine.ts';
import { segmented } from './segmented.ts';

const SIZE = 8;
const values = (seed: number, length: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(seed * 7.1 + i * 1.3) / 2);
const matrix = (seed: number) => hostTensor(values(seed, SIZE * SIZE), [SIZE, SIZE]);

/** Layers with a skip over all of them, a split, a weight that is used twice and a parameter that stays open. */
function network(): Program {
  const x = input('x', [SIZE, SIZE]);
  const weight = (i: number) => multiply(cast(parameter(`w${i}`, [SIZE, SIZE]), 'float32'), 0.5);
  const shared = weight(0);
  let h: Tensor = tanh(matmul(x, shared));
  const first = h;
  for (let i = 1; i < 6; i++) {
    const [left, right] = split(matmul(h, weight(i)), [SIZE / 2, SIZE / 2], -1) as [Tensor, Tensor];
    h = matmul(tanh(multiply(left, right)), parameter(`v${i}`, [SIZE / 2, SIZE]));
  }
  h = add(matmul(h, shared), add(first, multiply(parameter('open', [SIZE, SIZE]), x)));
  return program({ first, last: h, given: x });
}

const bound: Weights = new Map(
  [...network().parameters]
    .filter(([name]) => name !== 'open')
    .map(([name, { shape }], i) => {
      const data = values(
        i + 1,
        shape.reduce((product, size) => product * size, 1),
      );
      return [
        name,
        { dtype: 'float32', shape, storage: { kind: 'bytes', bytes: new Uint8Array(data.buffer) } },
      ];
    }),
);

describe('a program in segments', () => {
  const engine = createReferenceEngine();
  const inputs = { x: matrix(20), open: matrix(21) };
  const compile = async (count: number) => {
    const parts = segments(network(), count);
    const compiled = await Promise.all(
      parts.map(async (part) => ({
        program: part,
        executable: await engine.compile(part, { weights: bound }),
      })),
    );
    return { parts, whole: segmented('network', network(), (name) => bound.has(name), compiled) };
  };

  it.each([1, 2, 3, 5])('of the number %i computes what the whole computes', async (count) => {
    const { parts, whole } = await compile(count);
    expect(parts).toHaveLength(count);
    const plain = await engine.compile(network(), { weights: bound });
    expect(await whole.run(inputs)).toEqual(await plain.run(inputs));
  });

  it('shares the weights out, and gives each segment those that it reads', async () => {
    const { parts } = await compile(3);
    const names = parts.map((part) => [...part.parameters.keys()].sort());
    expect(new Set(names.flat())).toEqual(new Set(network().parameters.keys()));
    for (const part of names) expect(part.length).toBeLessThan(7);
    // A weight that two segments use is computed from its parameter in both, not handed on.
    expect(names[0]).toContain('w0');
    expect(names[2]).toContain('w0');
  });

  it('cuts where little has to be handed on', () => {
    const [, second] = segments(network(), 2) as [Program, Program];
    const handedOn = [...second.inputs.values()].filter(
      ({ node }) => node.kind === 'input' && node.name !== 'x',
    );
    // What every later layer reads and the skip; never the two halves of a split.
    expect(handedOn.length).toBeLessThanOrEqual(2);
  });

  it('names what is missing or surplus as the whole does', async () => {
    const { whole } = await compile(2);
    await expect(whole.run({ x: matrix(1) })).rejects.toThrow(/network needs the input "open"/);
    await expect(whole.run({ ...inputs, y: matrix(1) })).rejects.toThrow(/network takes no input "y"/);
  });

  it('stops between segments', async () => {
    const { whole } = await compile(3);
    const controller = new AbortController();
    const running = whole.run(inputs, { signal: controller.signal });
    controller.abort(new Error('enough'));
    await expect(running).rejects.toThrow('enough');
  });
});
