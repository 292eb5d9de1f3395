import { describe, expect, it } from 'vitest';
import { hostTensor } from '../../graph/host-tensor.ts';
import { createAdamWKernel, plainAdamWKernel } from './adamw-kernel.ts';
import { Ema } from './ema.ts';
import { FlatParameters } from './flat-parameters.ts';
import { AdamW, globalNorm } from './optimizer.ts';

const noise = (length: number, seed: number) =>
  Float32Array.from({ length }, (_, i) => Math.sin(i * 12.9898 + seed * 78.233) * ((i % 17) + 0.01));

describe('AdamW', () => {
  it('decays matrices and leaves vectors', () => {
    const parameters = new FlatParameters(
      new Map([
        ['weight', [2, 2]],
        ['bias', [2]],
      ]),
    );
    parameters.values.fill(1);
    const optimizer = new AdamW(parameters, { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0.5 });
    const zero = new Map(
      parameters.slots.map(({ name, shape }) => [
        name,
        new FlatParameters(new Map([[name, shape]])).tensor(name),
      ]),
    );
    optimizer.step(zero, 0, { learningRate: 0.1 });
    expect([...parameters.values]).toEqual([0.95, 0.95, 0.95, 0.95, 1, 1].map(Math.fround));
  });

  it('asks for a gradient of every parameter', () => {
    const parameters = new FlatParameters(new Map([['weight', [3]]]));
    const optimizer = new AdamW(parameters, { betas: [0.9, 0.999], epsilon: 1e-8, weightDecay: 0 });
    expect(() => optimizer.step(new Map(), 0, { learningRate: 1 })).toThrow(/no gradient .* weight/);
    const wrong = new Map([['weight', hostTensor(new Float32Array(4), [4])]]);
    expect(() => optimizer.step(wrong, 0, { learningRate: 1 })).toThrow(/\[4\], expected \[3\]/);
  });

  it('updates averages as a pass of their own would, over blocks and remainders', () => {
    const length = 40_001;
    const parameters = new FlatParameters(new Map([['weight', [1, length]]]));
    parameters.values.set(noise(length, 1));
    const average = new Ema(parameters, 0.9);
    const expected = average.parameters.values.slice();
    const optimizer = new AdamW(parameters, { betas: [0.9, 0.99], epsilon: 1e-8, weightDecay: 0.1 });
    const gradient = new Map([['weight', hostTensor(noise(length, 2), [1, length])]]);
    optimizer.step(gradient, globalNorm(gradient.values()), {
      learningRate: 0.01,
      maxGradientNorm: 1,
      averages: [average],
    });
    parameters.values.forEach((value, i) => {
      expected[i] = expected[i]! * 0.9 + value * (1 - 0.9);
    });
    expect(average.parameters.values).toEqual(expected);
  });
});

describe('the AdamW kernel', () => {
  it('agrees with the plain loop', () => {
    for (const length of [1, 4, 7, 1000, 1003]) {
      const fast = createAdamWKernel(1024);
      const arrays = () =>
        [noise(length, 1), noise(length, 2), noise(length, 3), noise(length, 4).map(Math.abs)] as const;
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
      plainAdamWKernel(p, g, m, v, constants);
      fast(q, h, n, w, constants);
      for (const [plain, quick] of [
        [p, q],
        [m, n],
        [v, w],
      ] as const) {
        plain.forEach((value, i) => {
          expect(Math.abs(quick[i]! - value)).toBeLessThanOrEqual(3e-7 * Math.max(1, Math.abs(value)));
        });
      }
    }
  });
});

describe('globalNorm', () => {
  it('is the L2 norm over all tensors', () => {
    const tensors = [hostTensor(Float32Array.of(1, 2, 3, 4, 5), [5]), hostTensor(Float32Array.of(3), [])];
    expect(globalNorm(tensors)).toBeCloseTo(8, 12);
  });

  it('shows a value that is not finite', () => {
    expect(globalNorm([hostTensor(Float32Array.of(1, Number.NaN), [2])])).toBeNaN();
    expect(globalNorm([hostTensor(Float32Array.of(1, Number.POSITIVE_INFINITY), [2])])).toBe(Infinity);
  });
});
