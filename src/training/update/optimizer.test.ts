import { describe, expect, it } from 'vitest';
import { hostTensor } from '../../graph/host-tensor.ts';
import { Ema } from './ema.ts';
import { FlatParameters } from './flat-parameters.ts';
import { AdamW, type AdamWOptions } from './optimizer.ts';
import { createUpdateKernel, plainUpdateKernel } from './update-kernel.ts';

const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * ((i % 17) + 0.01));

const usual: AdamWOptions = { betas: [0.9, 0.99], epsilon: 1e-8, weightDecay: 0.1 };

describe('AdamW', () => {
  it('decays matrices and leaves vectors', async () => {
    const parameters = new FlatParameters(
      new Map([
        ['weight', [2, 2]],
        ['bias', [2]],
      ]),
    );
    parameters.values.fill(1);
    const optimizer = new AdamW(parameters, { ...usual, weightDecay: 0.5 });
    const zeros = parameters.zerosLike();
    await optimizer.gather([new Map(zeros.slots.map(({ name }) => [name, zeros.tensor(name)]))]);
    await optimizer.apply({ learningRate: 0.1 });
    expect([...parameters.values]).toEqual([0.95, 0.95, 0.95, 0.95, 1, 1].map(Math.fround));
  });

  it('asks for a gradient of every parameter', async () => {
    const parameters = new FlatParameters(new Map([['weight', [3]]]));
    const optimizer = new AdamW(parameters, usual);
    await expect(optimizer.apply({ learningRate: 1 })).rejects.toThrow(/no gradient to be applied/);
    await expect(optimizer.gather([new Map()])).rejects.toThrow(/no gradient .* weight/);
    const wrong = new Map([['weight', hostTensor(new Float32Array(4), [4])]]);
    await expect(optimizer.gather([wrong])).rejects.toThrow(/\[4\], expected \[3\]/);
  });

  it('updates averages as a pass of their own would, over blocks and remainders', async () => {
    const length = 40_001;
    const parameters = new FlatParameters(new Map([['weight', [1, length]]]));
    parameters.values.set(noise(length, 1));
    const average = new Ema(parameters, 0.9);
    const expected = average.parameters.values.slice();
    const optimizer = new AdamW(parameters, { ...usual, averages: [average] });
    await optimizer.gather([new Map([['weight', hostTensor(noise(length, 2), [1, length])]])]);
    await optimizer.apply({ learningRate: 0.01, maxGradientNorm: 1 });
    plainUpdateKernel.follow(expected, parameters.values, 0.9);
    expectClose(average.parameters.values, expected);
  });

  it('gives the same to the bit on any number of threads', async () => {
    const sizes = [5, 40_001, 1, 777, 16_384, 30_000];
    const run = async (threads: number) => {
      const parameters = new FlatParameters(new Map(sizes.map((size, i) => [`p${i}`, [size]])));
      parameters.values.set(noise(parameters.values.length, 1));
      const average = new Ema(parameters, 0.9);
      const optimizer = new AdamW(parameters, { ...usual, threads, averages: [average] });
      const norms: number[] = [];
      for (const seed of [2, 3]) {
        const share = (shift: number) =>
          new Map(sizes.map((size, i) => [`p${i}`, hostTensor(noise(size, seed + shift + i), [size])]));
        norms.push(await optimizer.gather([share(0), share(0.5)]));
        await optimizer.apply({ learningRate: 0.01, maxGradientNorm: 1 });
      }
      await optimizer.dispose();
      const { firstMoment, secondMoment } = optimizer;
      return {
        norms,
        arrays: [parameters, firstMoment, secondMoment, average.parameters].map((p) => p.values),
      };
    };
    const alone = await run(1);
    for (const threads of [2, 3, 9]) expect(await run(threads)).toEqual(alone);
  });

  it('gathers the mean of several gradients and its L2 norm, in which what is not finite shows', async () => {
    const parameters = new FlatParameters(
      new Map([
        ['a', [5]],
        ['b', []],
      ]),
    );
    const norm = (...shares: readonly (readonly number[])[]) =>
      new AdamW(parameters, usual).gather(
        shares.map(
          (values) =>
            new Map([
              ['a', hostTensor(Float32Array.from(values), [5])],
              ['b', hostTensor(Float32Array.of(3), [])],
            ]),
        ),
      );
    expect(await norm([1, 2, 3, 4, 5])).toBeCloseTo(8, 12);
    expect(await norm([1, 1, 1, 1, 1], [1, 2, 2, 4, 5], [1, 3, 6, 7, 9])).toBeCloseTo(8, 12);
    expect(await norm([1, 2, Number.NaN, 4, 5])).toBeNaN();
    expect(await norm([1, 2, 3, 4, 5], [1, 2, 3, Number.POSITIVE_INFINITY, 5])).toBe(Infinity);
  });
});

describe('the fast kernel agrees with the plain one', () => {
  const fast = createUpdateKernel(1024);

  for (const length of [1, 4, 7, 1000, 1003]) {
    const arrays = () => [1, 2, 3, 4].map((seed) => noise(length, seed)) as [P, P, P, P];
    type P = Float32Array;

    it(`in AdamW of ${length} numbers`, () => {
      const constants = {
        gradientScale: 0.3,
        keep: 0.999,
        beta1: 0.9,
        beta2: 0.99,
        stepSize: 0.01,
        secondMomentScale: 1.3,
        epsilon: 1e-8,
      };
      const [p, g, m, v] = arrays();
      const [q, h, n, w] = arrays();
      v.forEach((value, i) => {
        v[i] = w[i] = Math.abs(value);
      });
      plainUpdateKernel.adamW(p, g, m, v, constants);
      fast.adamW(q, h, n, w, constants);
      expectClose(q, p);
      expectClose(n, m);
      expectClose(w, v);
    });

    it(`in averages of ${length} numbers`, () => {
      const [a, values, b] = arrays();
      b.set(a);
      plainUpdateKernel.follow(a, values, 0.998);
      fast.follow(b, values, 0.998);
      expectClose(b, a);
    });

    it(`in sums of ${length} numbers and their squares`, () => {
      const [a, b, expected, found] = arrays();
      const squares = plainUpdateKernel.scaledSum(expected, a, b, 0.5);
      // A block before it leaves nothing behind.
      fast.scaledSum(new Float32Array(1024), new Float32Array(1024).fill(9), new Float32Array(1024), 1);
      expect(fast.scaledSum(found, a, b, 0.5) / squares).toBeCloseTo(1, 12);
      expectClose(found, expected);
    });
  }

  it('and takes no more than its block', () => {
    const long = new Float32Array(1025);
    expect(() => fast.follow(long, long, 0.5)).toThrow(/at most 1024 fit/);
  });
});

function expectClose(found: Float32Array, expected: Float32Array): void {
  expect(found).toHaveLength(expected.length);
  expected.forEach((value, i) => {
    expect(Math.abs(found[i]! - value)).toBeLessThanOrEqual(3e-7 * Math.max(1, Math.abs(value)));
  });
}
