import { describe, expect, it } from 'vitest';
import { boundaryScalings } from './consistency.ts';
import { guidanceScaleEmbedding } from './guidance-embedding.ts';
import { addNoise, noiseSchedule } from './noise-schedule.ts';
import { skippingGrid } from './skipping-grid.ts';

describe('noiseSchedule', () => {
  it("has Stable Diffusion's ᾱ", () => {
    const { alphasCumprod } = noiseSchedule();
    expect(alphasCumprod[0]).toBeCloseTo(0.99915, 7);
    expect(alphasCumprod[19]).toBeCloseTo(0.982243991, 6);
    expect(alphasCumprod[499]).toBeCloseTo(0.27766965, 6);
    expect(alphasCumprod[999]).toBeCloseTo(0.00466009851, 8);
  });

  it('preserves variance', () => {
    const { alphas, sigmas } = noiseSchedule({ beta_schedule: 'squaredcos_cap_v2' });
    for (const [t, alpha] of alphas.entries()) expect(alpha ** 2 + sigmas[t]! ** 2).toBeCloseTo(1, 6);
  });

  it('ends in pure noise when asked to', () => {
    const { alphas, sigmas } = noiseSchedule({ rescale_betas_zero_snr: true });
    expect(alphas.at(-1)).toBe(0);
    expect(sigmas.at(-1)).toBe(1);
  });

  it('takes one timestep for all images or one for each', () => {
    const schedule = noiseSchedule();
    const [x, e] = [Float32Array.of(1, 2, 3, 4), Float32Array.of(5, 6, 7, 8)];
    const each = addNoise(schedule, x, e, [10, 900]);
    expect(each.subarray(0, 2)).toEqual(addNoise(schedule, x, e, [10]).subarray(0, 2));
    expect(each.subarray(2)).toEqual(addNoise(schedule, x, e, [900]).subarray(2));
  });

  it('refuses trained betas that do not cover the schedule', () => {
    expect(() => noiseSchedule({ trained_betas: [0.1, 0.2] })).toThrow(
      /2 values for 1000 num_train_timesteps/,
    );
  });

  it('refuses timesteps outside the schedule and batches that do not divide', () => {
    const x = Float32Array.of(1, 2);
    expect(() => addNoise(noiseSchedule(), x, x, [1000])).toThrow(/timestep 1000: the schedule has 0 to 999/);
    expect(() => addNoise(noiseSchedule(), x, x, [1, 2, 3])).toThrow(/do not divide into 3 images/);
    expect(() => addNoise(noiseSchedule(), x, Float32Array.of(1), [1])).toThrow(RangeError);
  });
});

describe('boundaryScalings', () => {
  it('is the identity at 0 and nearly the network elsewhere', () => {
    expect(boundaryScalings(0)).toEqual({ cSkip: 1, cOut: 0 });
    expect(boundaryScalings(19).cSkip).toBeCloseTo(6.925e-6, 9);
    expect(boundaryScalings(19).cOut).toBeCloseTo(0.9999965, 7);
  });
});

describe('guidanceScaleEmbedding', () => {
  it('is [sin, cos], one row per image, zero in an odd last place', () => {
    const embedding = guidanceScaleEmbedding([0, 0.001], 5);
    expect([...embedding.subarray(0, 5)]).toEqual([0, 0, 1, 1, 0]);
    expect(embedding[5]).toBeCloseTo(Math.sin(1), 6);
    expect(embedding[6]).toBeCloseTo(Math.sin(1e-4), 8);
    expect(embedding[7]).toBeCloseTo(Math.cos(1), 6);
    expect(embedding[9]).toBe(0);
  });

  it('refuses dimensions without a rate', () => {
    expect(() => guidanceScaleEmbedding([1], 3)).toThrow(/at least 4/);
  });
});

describe('skippingGrid', () => {
  it('is every twentieth timestep of a thousand, and 0', () => {
    const grid = skippingGrid();
    expect([0, 1, 2, 25, 50].map((n) => grid.t(n))).toEqual([0, 19, 39, 499, 999]);
    expect(grid.skip).toBe(20);
    expect(() => grid.t(51)).toThrow(/the grid has 0 to 50/);
    expect(() => skippingGrid(1001)).toThrow(/use 1 to 1000/);
  });
});
