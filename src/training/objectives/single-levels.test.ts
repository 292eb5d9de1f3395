import { describe, expect, it } from 'vitest';
import { noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { randomStream } from '../data/random-stream.ts';
import { scheduleLevels } from './sigma-pairs.ts';
import { logNormalLevels, minSnrWeight, uniformLevels } from './single-levels.ts';
import { levelAt } from './time-pairs.ts';

const schedule = noiseSchedule();
const weight = ({ t }: { t: number }) => t;

describe('min-SNR weights', () => {
  it.each(['epsilon', 'v_prediction'] as const)('of %s are min(SNR, γ) of the error in x_0', (type) => {
    for (const t of [0, 300, 900]) {
      const level = levelAt(schedule, t);
      const snr = (level.alpha / level.sigma) ** 2;
      // The error in x_0 is the prediction's times (σ/α)², or σ².
      const scale = type === 'epsilon' ? 1 / snr : level.sigma ** 2;
      expect(minSnrWeight(type, 5)(level) / scale / Math.min(snr, 5)).toBeCloseTo(1, 6);
    }
  });
});

describe('levels', () => {
  it('are all timesteps alike, with their weights, and pure noise as often as asked', () => {
    const drawn = uniformLevels(schedule, { weight, pureNoise: 0.2 }).draw(randomStream(1), 4000, 0);
    expect(drawn.filter(({ pureNoise }) => pureNoise).length / 4000).toBeCloseTo(0.2, 1);
    const others = drawn.filter(({ pureNoise }) => !pureNoise);
    expect(others.every((pair) => pair.weight === pair.start.t)).toBe(true);
    expect(others.filter(({ start }) => start.t < 250).length / others.length).toBeCloseTo(0.25, 1);
  });

  it('are log-normal', () => {
    const levels = scheduleLevels(schedule);
    const density = { mean: -1.1, deviation: 0.5 };
    const drawn = logNormalLevels(levels, density, { weight, pureNoise: 0 }).draw(randomStream(1), 4000, 0);
    // Half of them lie above σ = e^−1.1.
    const median = levels.at(Math.exp(-1.1)).t;
    expect(drawn.filter(({ start }) => start.t > median).length / 4000).toBeCloseTo(0.5, 1);
  });
});
