import { describe, expect, it } from 'vitest';
import { noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { randomStream } from '../data/random-stream.ts';
import { erf, improvedPairs, PAPER_SIGMA_DATA, scheduleLevels, tuningPairs } from './sigma-pairs.ts';
import type { TimePair, TimePairs } from './time-pairs.ts';

const schedule = noiseSchedule();
const levels = scheduleLevels(schedule);
const density = { mean: -1.1, deviation: 2 };
const sigmaOf = ({ alpha, sigma }: TimePair['start']) => (PAPER_SIGMA_DATA * sigma) / alpha;
const draw = (pairs: TimePairs, step: number, batch = 4000) => pairs.draw(randomStream(1, step), batch, step);
const share = (pairs: readonly TimePair[], of: (pair: TimePair) => boolean) =>
  pairs.filter(of).length / pairs.length;

describe('levels of a schedule', () => {
  it('are the timesteps where σ is theirs, and between them elsewhere', () => {
    for (const t of [0, 1, 500, 999]) {
      const [alpha, sigma] = [schedule.alphas[t]!, schedule.sigmas[t]!];
      const level = levels.at((PAPER_SIGMA_DATA * sigma) / alpha);
      expect(level.t).toBeCloseTo(t, 2);
      expect(level.alpha).toBeCloseTo(alpha, 5);
      expect(level.sigma).toBeCloseTo(sigma, 5);
    }
    const [low, high] = [sigmaOf(levels.at(levels.min)), sigmaOf(levels.at(levels.max))];
    expect(low).toBeCloseTo(levels.min, 6);
    expect(high).toBeCloseTo(levels.max, 6);
  });

  it('end on clean data', () => {
    expect(levels.at(levels.min / 2)).toEqual({ t: 0, alpha: 1, sigma: 0 });
    expect(levels.at(levels.min).sigma).toBeGreaterThan(0);
  });

  it('have an end where the schedule has none', () => {
    const zero = scheduleLevels(noiseSchedule({ rescale_betas_zero_snr: true }));
    expect(zero.max).toBe(80);
    expect(zero.at(zero.max).t).toBeGreaterThan(980);
  });
});

describe('improved pairs', () => {
  const options = { intervals: { first: 10, last: 40 }, density, steps: 300, pureNoise: 0 };
  const pairs = improvedPairs(levels, options);

  it('are neighbours, counted by their distance, among more and more levels', () => {
    const gaps = (step: number) =>
      new Set(draw(pairs, step).map(({ start }) => sigmaOf(start).toFixed(6))).size;
    expect(gaps(0)).toBe(10);
    expect(gaps(150)).toBe(20);
    expect(gaps(299)).toBeGreaterThan(35);
    for (const { start, end, weight } of draw(pairs, 150, 50)) {
      expect(weight).toBeCloseTo(1 / (sigmaOf(start) - sigmaOf(end)), 3);
    }
  });

  it('lie where the log-normal distribution does', () => {
    const drawn = draw(pairs, 299);
    const total =
      erf((Math.log(levels.max) + 1.1) / Math.sqrt(8)) - erf((Math.log(levels.min) + 1.1) / Math.sqrt(8));
    const below = sigmaOf(draw(pairs, 299)[0]!.end);
    const expected =
      (erf((Math.log(below) + 1.1) / Math.sqrt(8)) - erf((Math.log(levels.min) + 1.1) / Math.sqrt(8))) /
      total;
    expect(share(drawn, ({ end }) => sigmaOf(end) < below * 0.999)).toBeCloseTo(expected, 1);
  });

  it('begin at noise alone as often as asked', () => {
    const noisy = draw(improvedPairs(levels, { ...options, pureNoise: 0.25 }), 0);
    expect(share(noisy, ({ pureNoise }) => pureNoise)).toBeCloseTo(0.25, 1);
    expect(noisy.filter(({ pureNoise }) => pureNoise).every(({ start }) => start.t > 998.9)).toBe(true);
  });
});

describe('tuning pairs', () => {
  const pairs = tuningPairs(levels, { stages: 4, ratio: 2, density, steps: 100, pureNoise: 0.1 });

  it('come nearer stage by stage, from clean data on', () => {
    const clean = [0, 25, 50, 75].map((step) => share(draw(pairs, step), ({ end }) => end.sigma === 0));
    expect(clean[0]).toBeGreaterThan(0.6);
    expect(clean[1]).toBeLessThan(clean[0]!);
    expect(clean[2]).toBeLessThan(clean[1]!);
    const far = draw(pairs, 75).filter(({ pureNoise }) => pureNoise);
    expect(far.length / 4000).toBeCloseTo(0.1, 1);
    // r = t (1 − 1/2⁴ − …) where t is large.
    expect(sigmaOf(far[0]!.end) / levels.max).toBeCloseTo(1 - 1 / 16, 2);
  });

  it('stay in the last stage when a training goes on beyond its end', () => {
    const group = (step: number) => draw(pairs, step, 1)[0]!;
    expect(() => group(1000)).not.toThrow();
    expect(sigmaOf(group(1000).end)).toBeLessThan(sigmaOf(group(1000).start));
  });
});
