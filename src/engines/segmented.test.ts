import { describe, expect, it } from 'vitest';
import { hostTensor } from '../graph/host-tensor.ts';
import { add, cast, matmul, multiply, split, tanh } from '../graph/operators/index.ts';
import { type Program, program } from '../graph/program.ts';
import { segments } from '../graph/segments.ts';
import { input, parameter, type Tensor } from '../graph/tensor.ts';
import type { Weights } from '../weights/weights.ts';
import type { Executable } from './engine.ts';
import { createReferenceEngine } from './reference/engine.ts';
import { segmented, streamed } from './segmented.ts';

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

const partsOf = (whole: Program, segments: readonly Program[]) => ({
  name: 'network',
  whole,
  segments,
  bound: (name: string) => bound.has(name),
});

describe('a program in segments', () => {
  const engine = createReferenceEngine();
  const inputs = { x: matrix(20), open: matrix(21) };
  const compile = async (count: number) => {
    const parts = segments(network(), count);
    const compiled = await Promise.all(parts.map((part) => engine.compile(part, { weights: bound })));
    return { parts, whole: segmented(partsOf(network(), parts), compiled) };
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

describe('a program that is streamed', () => {
  const engine = createReferenceEngine();
  const inputs = { x: matrix(20), open: matrix(21) };
  const parts = partsOf(network(), segments(network(), 5));

  /** Compiles segments, and knows which are there. `fails` does not compile, or does not run. */
  function watched(fails: { readonly compiling?: number; readonly running?: number } = {}) {
    const held = new Set<number>();
    let most = 0;
    const open = async (i: number): Promise<Executable> => {
      held.add(i);
      most = Math.max(most, held.size);
      const gone = async () => void held.delete(i);
      if (i === fails.compiling) {
        await gone();
        throw new Error(`segment ${i} does not compile`);
      }
      const executable = await engine.compile(parts.segments[i]!, { weights: bound });
      const run: Executable['run'] =
        i === fails.running ? () => Promise.reject(new Error(`segment ${i} does not run`)) : executable.run;
      return { run: run.bind(executable), dispose: gone };
    };
    return { whole: streamed(parts, open), held, most: () => most };
  }

  it('computes what the whole computes, again and again, and holds two segments at most', async () => {
    const { whole, held, most } = watched();
    const plain = await engine.compile(network(), { weights: bound });
    for (let i = 0; i < 2; i++) expect(await whole.run(inputs)).toEqual(await plain.run(inputs));
    expect(most()).toBe(2);
    expect(held.size).toBe(0);
  });

  it.each([{ compiling: 0 }, { compiling: 3 }, { running: 2 }])(
    'lets go of all when %o fails',
    async (fails) => {
      const { whole, held } = watched(fails);
      await expect(whole.run(inputs)).rejects.toThrow(/segment \d does not/);
      expect(held.size).toBe(0);
    },
  );

  it('checks its inputs before anything is compiled, and runs no more once it was disposed of', async () => {
    const { whole, most } = watched();
    await expect(whole.run({ x: matrix(1) })).rejects.toThrow(/network needs the input "open"/);
    await whole.dispose();
    await expect(whole.run(inputs)).rejects.toThrow('network was disposed of');
    expect(most()).toBe(0);
  });
});
