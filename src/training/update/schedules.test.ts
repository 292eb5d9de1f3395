import { describe, expect, it } from 'vitest';
import { Ema } from './ema.ts';
import { FlatParameters } from './flat-parameters.ts';
import { learningRateFactor } from './learning-rate.ts';

describe('learningRateFactor', () => {
  it('rises linearly and stays', () => {
    const factors = [0, 1, 2, 3, 9].map((step) =>
      learningRateFactor({ kind: 'constant', warmupSteps: 4 }, step, 10),
    );
    expect(factors).toEqual([0.25, 0.5, 0.75, 1, 1]);
  });

  it('is constant up to a fraction and falls along a cosine to the final factor', () => {
    const schedule = { kind: 'cosine', warmupSteps: 10, constantUntil: 0.5, finalFactor: 0.1 } as const;
    const at = (step: number) => learningRateFactor(schedule, step, 101);
    expect([at(10), at(50)]).toEqual([1, 1]);
    expect(at(60)).toBeLessThan(1);
    expect(at(100)).toBeCloseTo(0.1, 12);
    expect(at(75.25)).toBeCloseTo(0.55, 2);
  });
});

describe('Ema', () => {
  it('follows faster at first when it warms up', () => {
    const parameters = new FlatParameters(new Map([['x', [1]]]));
    const plain = new Ema(parameters, 0.99);
    const warm = new Ema(parameters, 0.99, { warmup: true });
    expect(plain.decayAt(1)).toBe(0.99);
    expect(warm.decayAt(1)).toBe(2 / 11);
    expect(warm.decayAt(5000)).toBe(0.99);
  });

  it('refuses a decay outside of 0 to 1', () => {
    expect(() => new Ema(new FlatParameters(new Map()), 1.5)).toThrow(/between 0 and 1/);
  });
});
