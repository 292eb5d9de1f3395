import { describe, expect, it } from 'vitest';
import {
  type Affine,
  type Boundary,
  consistencyOf,
  ddim,
  dpmSolver2,
  heun,
  type Level,
  lcmBoundary,
  noiseOf,
  originalOf,
  type Solver,
} from './affine.ts';
import { predictedNoise, predictedOriginal, predictionTypes } from './prediction.ts';
import { dpmSolverSinglestepSampler } from './samplers/index.ts';

/** f = x̂_0: enough for networks that predict v or ε, whose x̂_0 is x where σ is 0. */
const noBoundary: Boundary = () => ({ skip: 0, out: 1 });

const at = (angle: number): Level => ({ t: 1000 * angle, alpha: Math.cos(angle), sigma: Math.sin(angle) });
const value = ({ sample, outputs }: Affine, x: number, given: readonly number[]) =>
  outputs.reduce((sum, output, i) => sum + output * given[i]!, sample * x);

describe.each(predictionTypes)('a prediction of %s', (type) => {
  it('says the same of the clean sample and of the noise as the functions on arrays', () => {
    for (const angle of [0.1, 0.7, 1.5]) {
      const { alpha, sigma } = at(angle);
      const [output, x] = [Float32Array.of(0.3), Float32Array.of(-1.2)];
      const original = predictedOriginal(type, output, x, alpha, sigma)[0]!;
      const noise = predictedNoise(type, output, x, alpha, sigma)[0]!;
      expect(value(originalOf(type, at(angle)), -1.2, [0.3])).toBeCloseTo(original, 5);
      expect(value(noiseOf(type, at(angle)), -1.2, [0.3])).toBeCloseTo(noise, 5);
    }
  });

  // Data of N(0.3, 0.5²): the exact prediction, and the exact flow (Song et al. 2021), on which solvers are judged.
  const [mean, deviation] = [0.3, 0.5];
  const exactOutput = (x: number, { alpha, sigma }: Level): number => {
    const noise = (sigma * (x - alpha * mean)) / ((alpha * deviation) ** 2 + sigma ** 2);
    const original = (x - sigma * noise) / alpha;
    return { epsilon: noise, sample: original, v_prediction: alpha * noise - sigma * original }[type];
  };
  const spread = ({ alpha, sigma }: Level) => Math.hypot(alpha * deviation, sigma);
  const exactFlow = (x: number, from: Level, to: Level) =>
    to.alpha * mean + ((x - from.alpha * mean) * spread(to)) / spread(from);

  function solved(solver: Solver, x: number, levels: readonly Level[]): number {
    for (const [i, to] of levels.slice(1).entries()) {
      const { passes, result } = solver.step(type, levels[i]!, to);
      expect(passes.length).toBe(solver.passes);
      const outputs: number[] = [];
      for (const pass of passes) outputs.push(exactOutput(value(pass.input, x, outputs), pass.at));
      x = value(result, x, outputs);
    }
    return x;
  }
  const errorOf = (solver: Solver, steps: number): number => {
    const levels = Array.from({ length: steps + 1 }, (_, i) => at(1.4 - (1.2 * i) / steps));
    return Math.abs(solved(solver, 0.9, levels) - exactFlow(0.9, levels[0]!, levels.at(-1)!));
  };

  it('is solved to first order by DDIM and to second order by Heun', () => {
    expect(errorOf(ddim, 32) / errorOf(ddim, 64)).toBeCloseTo(2, 0);
    expect(errorOf(heun, 32) / errorOf(heun, 64)).toBeCloseTo(4, 0);
    expect(errorOf(heun, 64)).toBeLessThan(0.1 * errorOf(ddim, 64));
  });

  it('is solved to second order by DPM-Solver++', () => {
    // At a third of the way, so that the second pass does not count alone.
    const solver = dpmSolver2((from, to) =>
      at(Math.atan2(from.sigma, from.alpha) * (2 / 3) + Math.atan2(to.sigma, to.alpha) / 3),
    );
    expect(errorOf(solver, 32) / errorOf(solver, 64)).toBeCloseTo(4, 0);
    expect(errorOf(solver, 64)).toBeLessThan(0.1 * errorOf(ddim, 64));
  });

  it('is solved by DPM-Solver++ as its sampler does', () => {
    const config = {
      beta_schedule: 'scaled_linear',
      beta_start: 0.00085,
      beta_end: 0.012,
      prediction_type: type,
    } as const;
    const sampler = dpmSolverSinglestepSampler(config, { steps: 6 });
    const [from, middle, to] = Array.from(sampler.sigmas.subarray(2, 5), (sigma, i): Level => {
      const alpha = 1 / Math.sqrt(1 + sigma ** 2);
      return { t: sampler.timesteps[2 + i]!, alpha, sigma: sigma * alpha };
    }) as [Level, Level, Level];
    let sample = Float32Array.of(0.9);
    for (const i of [2, 3]) {
      const output = exactOutput(sample[0]!, [from, middle][i - 2]!);
      sample = Float32Array.from(
        sampler.step(Float32Array.of(output), i, sample, () => Float32Array.of(0)).sample,
      );
    }
    expect(
      solved(
        dpmSolver2(() => middle),
        0.9,
        [from, to],
      ),
    ).toBeCloseTo(sample[0]!, 5);
  });

  it('is left to DDIM by DPM-Solver++ where nothing lies between, and at the ends of λ', () => {
    const nothing = dpmSolver2(() => undefined).step(type, at(0.8), at(0.6)).result;
    const euler = ddim.step(type, at(0.8), at(0.6)).result;
    expect(value(nothing, 0.9, [0.2, 1e6])).toBeCloseTo(value(euler, 0.9, [0.2]), 12);
    const { result } = dpmSolver2(() => at(0.2)).step(type, at(0.4), at(0));
    expect(value(result, 0.9, [0.2, 1e6])).toBeCloseTo(
      value(ddim.step(type, at(0.4), at(0)).result, 0.9, [0.2]),
      12,
    );
  });

  it('ends on the data with a DDIM step, whatever the second pass says', () => {
    const { result } = heun.step(type, at(0.4), at(0));
    expect(value(result, 0.9, [0.2, 1e6])).toBeCloseTo(
      value(ddim.step(type, at(0.4), at(0)).result, 0.9, [0.2]),
      12,
    );
  });

  it('gives the consistency function with either boundary', () => {
    const level = at(0.8);
    const original = value(originalOf(type, level), 0.7, [0.4]);
    expect(value(consistencyOf(type, noBoundary, level), 0.7, [0.4])).toBeCloseTo(original, 12);
    const { skip, out } = lcmBoundary(10, 0.5)(level);
    expect(value(consistencyOf(type, lcmBoundary(10, 0.5), level), 0.7, [0.4])).toBeCloseTo(
      skip * 0.7 + out * original,
      12,
    );
  });
});

it('keeps the boundary condition: f(x, 0) = x', () => {
  const clean: Level = { t: 0, alpha: 1, sigma: 0 };
  expect(consistencyOf('epsilon', lcmBoundary(), clean)).toEqual({ sample: 1, outputs: [0] });
  expect(value(consistencyOf('v_prediction', noBoundary, clean), 0.6, [5])).toBe(0.6);
});

it('refuses to say what cannot be known', () => {
  expect(() => originalOf('epsilon', { t: 999, alpha: 0, sigma: 1 })).toThrow(/t = 999, where α is 0/);
  expect(() => noiseOf('sample', { t: 0, alpha: 1, sigma: 0 })).toThrow(/t = 0, where σ is 0/);
});
