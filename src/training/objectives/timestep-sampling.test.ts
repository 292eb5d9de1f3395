import { describe, expect, it } from 'vitest';
import { randomStream } from '../data/random-stream.ts';
import { sampleTimesteps } from './timestep-sampling.ts';

const draw = (options: Partial<Parameters<typeof sampleTimesteps>[3]>) => {
  const full = { tilt: 0, from: 600, to: 999, importanceWeights: false, pureNoise: 0, ...options };
  return Array.from({ length: 500 }, (_, k) => sampleTimesteps(randomStream(1, k), 16, 1000, full)).flat();
};
const share = (samples: readonly { t: number }[], from: number, to: number) =>
  samples.filter(({ t }) => t >= from && t <= to).length / samples.length;

describe('sampleTimesteps', () => {
  it('covers all timesteps evenly without a tilt', () => {
    const samples = draw({});
    expect(Math.min(...samples.map(({ t }) => t))).toBeGreaterThanOrEqual(0);
    expect(Math.max(...samples.map(({ t }) => t))).toBe(999);
    expect(share(samples, 0, 249)).toBeCloseTo(0.25, 2);
    expect(share(samples, 750, 999)).toBeCloseTo(0.25, 2);
  });

  it('spreads every batch over the whole range', () => {
    const batch = sampleTimesteps(randomStream(3), 10, 1000, {
      tilt: 0,
      from: 0,
      to: 999,
      importanceWeights: false,
      pureNoise: 0,
    });
    expect(batch.map(({ t }) => Math.floor(t / 100)).sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });

  it('tilts, and weighs so that expectations stay those of uniform sampling', () => {
    const samples = draw({ tilt: 0.5, importanceWeights: true });
    expect(share(samples, 600, 999)).toBeCloseTo(0.5 + 0.5 * 0.4, 2);
    const mean = samples.reduce((sum, { t, weight }) => sum + weight * t, 0) / samples.length;
    expect(Math.abs(mean - 499.5)).toBeLessThan(5);
  });

  it('gives the asked share of pure noise at the last timestep', () => {
    const samples = draw({ pureNoise: 0.1 });
    const noise = samples.filter(({ pureNoise }) => pureNoise);
    expect(noise.length / samples.length).toBeCloseTo(0.1, 1);
    expect(noise.every(({ t }) => t === 999)).toBe(true);
  });
});
