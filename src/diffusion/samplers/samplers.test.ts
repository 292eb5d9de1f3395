/** What every sampler owes its caller, on data whose exact denoiser is known. */
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../errors.ts';
import { Generator } from '../../random/generator.ts';
import { noiseSchedule } from '../noise-schedule.ts';
import { type PredictionType, predictionTypes } from '../prediction.ts';
import {
  type Sampler,
  type SamplerKind,
  type SamplerOptions,
  samplerFromConfig,
  samplerKinds,
  startStep,
} from './index.ts';

const schedule = noiseSchedule();
const stableDiffusion = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  timestep_spacing: 'trailing',
  clip_sample: false,
  skip_prk_steps: true,
};
const size = 64;

/** The noise that the network expects at a timestep; between two whole ones as its logarithm goes. */
function levelAt(t: number): { alpha: number; sigma: number } {
  const [below, above] = [Math.floor(t), Math.ceil(t)];
  const logOf = (i: number) => Math.log(schedule.sigmas[i]! / schedule.alphas[i]!);
  const level = Math.exp(logOf(below) + (t - below) * (logOf(above) - logOf(below)));
  const alpha = 1 / Math.sqrt(level ** 2 + 1);
  return { alpha, sigma: level * alpha };
}

/** The exact ε, v or x̂_0 for data N(mean, deviation²) at x_t = α x_0 + σ ε. */
function gaussianModel(type: PredictionType, mean: number, deviation: number) {
  return (input: Float32Array, t: number): Float32Array => {
    const { alpha, sigma } = levelAt(t);
    const variance = (alpha * deviation) ** 2 + sigma ** 2;
    return input.map((x) => {
      const noise = (sigma * (x - alpha * mean)) / variance;
      const original = mean + (alpha * deviation ** 2 * (x - alpha * mean)) / variance;
      if (type === 'epsilon') return noise;
      return type === 'sample' ? original : alpha * noise - sigma * original;
    });
  };
}

type Model = (input: Float32Array, t: number) => Float32Array;

/** Samples from `start`, and counts the draws. */
function run(sampler: Sampler, model: Model, start: Float32Array, seed = 0) {
  const generator = new Generator(seed);
  let draws = 0;
  const noise = () => {
    draws++;
    return generator.normal(size);
  };
  let sample = start;
  const denoised: Float32Array[] = [];
  sampler.timesteps.forEach((t, i) => {
    const output = model(sampler.scaleModelInput(sample, i), t);
    const step = sampler.step(output, i, sample, noise);
    sample = step.sample;
    denoised.push(step.denoised);
  });
  return { sample, denoised, draws };
}

function largestDifference(a: Float32Array, b: Float32Array): number {
  return a.reduce((largest, x, i) => Math.max(largest, Math.abs(x - b[i]!)), 0);
}

const noise = new Generator(3).normal(size);
const data = new Generator(4).normal(size);

describe.each(samplerKinds)('%s', (kind) => {
  const create = (options: SamplerOptions, config: Record<string, unknown> = {}) =>
    samplerFromConfig(kind, { ...stableDiffusion, ...config }, options);

  it('finds the data, when a perfect model knows them, at every step', () => {
    const perfect: Model = (input, t) => {
      const { alpha, sigma } = levelAt(t);
      return input.map((x, i) => (x - alpha * data[i]!) / sigma);
    };
    const sampler = create({ steps: 4 });
    const { denoised } = run(sampler, perfect, sampler.addNoise(data, noise, 0));
    expect(denoised).toHaveLength(sampler.timesteps.length);
    for (const original of denoised) expect(largestDifference(original, data)).toBeLessThan(1e-4);
  });

  // PNDM takes means of several timesteps' outputs; those of v are others than those of ε.
  it.skipIf(kind === 'pndm')('agrees with itself whatever the network predicts', () => {
    const notOfSamples: SamplerKind[] = ['euler-ancestral', 'kdpm2'];
    const types = predictionTypes.filter((type) => type !== 'sample' || !notOfSamples.includes(kind));
    const results = types.map((prediction_type) => {
      const sampler = create({ steps: 6 }, { prediction_type });
      const start = noise.map((x) => x * sampler.initNoiseSigma);
      return run(sampler, gaussianModel(prediction_type, 0.4, 0.7), start).sample;
    });
    expect(results.length).toBeGreaterThan(1);
    for (const result of results) expect(largestDifference(results[0]!, result)).toBeLessThan(1e-4);
  });

  it('begins image-to-image with what the network expects to see', () => {
    const sampler = create({ steps: 4 });
    sampler.timesteps.forEach((t, i) => {
      if (i % sampler.passesPerStep !== 0) return;
      const input = sampler.scaleModelInput(sampler.addNoise(data, noise, i), i);
      const expected = data.map((x, j) => schedule.alphas[t]! * x + schedule.sigmas[t]! * noise[j]!);
      expect(largestDifference(input, expected)).toBeLessThan(1e-5);
    });
  });

  it('depends on nothing but its arguments', () => {
    const model = gaussianModel('epsilon', 0.4, 0.7);
    const once = () => run(create({ steps: 5 }), model, noise, 9);
    expect(once()).toEqual(once());
  });

  it('leaves its arguments as they were', () => {
    const sampler = create({ steps: 3 });
    const [output, sample] = [data.slice(), noise.slice()];
    sampler.addNoise(output, sample, 0);
    sampler.step(output, 0, sampler.scaleModelInput(sample, 0), () => noise);
    expect(output).toEqual(data);
    expect(sample).toEqual(noise);
  });

  it('refuses steps that it cannot take', () => {
    for (const steps of [0, -1, 2.5, 1001, Number.NaN]) expect(() => create({ steps })).toThrow(UsageError);
    expect(() => create({})).toThrow(UsageError);
  });
});

/**
 * Each with the factor by which doubling the steps must divide its error: near 2 at first order, between 2 and 4
 * at second and higher (slowly, because timesteps evenly spaced in t are not so in λ), and where its trajectory ends.
 */
const clean = { alpha: 1, sigma: 0 };
const timestepZero = { alpha: schedule.alphas[0]!, sigma: schedule.sigmas[0]! };
const solvers: [string, (steps: number) => Sampler, number, typeof clean][] = [
  ['ddim', (steps) => samplerFromConfig('ddim', stableDiffusion, { steps }), 1.7, clean],
  [
    'pndm',
    (steps) => samplerFromConfig('pndm', { ...stableDiffusion, set_alpha_to_one: false }, { steps }),
    2.4,
    timestepZero,
  ],
  [
    'pndm with its Runge-Kutta start',
    (steps) => samplerFromConfig('pndm', { ...stableDiffusion, skip_prk_steps: false }, { steps }),
    2.4,
    timestepZero,
  ],
  ['euler', (steps) => samplerFromConfig('euler', stableDiffusion, { steps }), 1.7, clean],
  [
    'dpm-solver, first order',
    (steps) => samplerFromConfig('dpm-solver', { ...stableDiffusion, solver_order: 1 }, { steps }),
    1.7,
    clean,
  ],
  [
    'dpm-solver, second order',
    (steps) =>
      samplerFromConfig('dpm-solver', { ...stableDiffusion, final_sigmas_type: 'sigma_min' }, { steps }),
    2.5,
    timestepZero,
  ],
  [
    'dpm-solver, second order as Heun',
    (steps) =>
      samplerFromConfig(
        'dpm-solver',
        { ...stableDiffusion, final_sigmas_type: 'sigma_min', solver_type: 'heun' },
        { steps },
      ),
    2.5,
    timestepZero,
  ],
  [
    'dpm-solver, third order',
    (steps) =>
      samplerFromConfig(
        'dpm-solver',
        { ...stableDiffusion, final_sigmas_type: 'sigma_min', solver_order: 3, lower_order_final: false },
        { steps },
      ),
    2.9,
    timestepZero,
  ],
  // Its last step is one of Euler's.
  ['heun', (steps) => samplerFromConfig('heun', stableDiffusion, { steps }), 1.9, clean],
  ['kdpm2', (steps) => samplerFromConfig('kdpm2', stableDiffusion, { steps }), 1.9, clean],
  ...(
    [
      ['unipc', {}],
      ['unipc over the noise', { predict_x0: false }],
      ['unipc, third order', { solver_order: 3 }],
    ] as const
  ).map(([name, fields]): (typeof solvers)[number] => [
    name,
    (steps) =>
      samplerFromConfig(
        'unipc',
        { ...stableDiffusion, final_sigmas_type: 'sigma_min', ...fields },
        { steps },
      ),
    2.4,
    timestepZero,
  ]),
  ['deis', (steps) => samplerFromConfig('deis', stableDiffusion, { steps }), 2.2, timestepZero],
];

describe('probability flow of Gaussian data', () => {
  const [mean, deviation] = [-0.6, 0.8];

  /** The exact end of the trajectory through `x` at `t`: (x − α m) / √(α² s² + σ²) is constant along it. */
  function exactEnd(x: Float32Array, t: number, end: typeof clean): Float32Array {
    const spread = (alpha: number, sigma: number) => Math.hypot(alpha * deviation, sigma);
    const ratio = spread(end.alpha, end.sigma) / spread(schedule.alphas[t]!, schedule.sigmas[t]!);
    return x.map((value) => end.alpha * mean + (value - schedule.alphas[t]! * mean) * ratio);
  }

  function errorOf(sampler: Sampler, end: typeof clean): number {
    const start = noise.map((x) => x * sampler.initNoiseSigma);
    const { sample } = run(sampler, gaussianModel('epsilon', mean, deviation), start);
    return largestDifference(sample, exactEnd(sampler.scaleModelInput(start, 0), sampler.timesteps[0]!, end));
  }

  it.each(solvers)('%s converges to it', (_, create, factor, end) => {
    const errors = [25, 50, 100].map((steps) => errorOf(create(steps), end));
    expect(errors[0]! / errors[1]!).toBeGreaterThan(factor);
    expect(errors[1]! / errors[2]!).toBeGreaterThan(factor);
  });

  it.each(['heun', 'kdpm2', 'dpm-solver', 'dpm-solver-singlestep', 'unipc', 'deis'] as const)(
    '%s is nearer to it than Euler with as many passes',
    (kind) => {
      const sampler = samplerFromConfig(
        kind,
        { ...stableDiffusion, final_sigmas_type: 'sigma_min' },
        { steps: 13 },
      );
      const error = errorOf(sampler, kind === 'heun' || kind === 'kdpm2' ? clean : timestepZero);
      const passes = sampler.timesteps.length;
      const euler = errorOf(samplerFromConfig('euler', stableDiffusion, { steps: passes }), clean);
      expect(error).toBeLessThan(euler);
    },
  );
});

it.each(samplerKinds)('%s takes its passes in whole steps', (kind) => {
  const passes = (steps: number) => {
    const { timesteps, passesPerStep } = samplerFromConfig(kind, stableDiffusion, { steps });
    return [timesteps.length, passesPerStep] as const;
  };
  const [few, perStep] = passes(5);
  expect(passes(9)).toEqual([few + 4 * perStep, perStep]);
});

describe('fresh noise', () => {
  const model = gaussianModel('epsilon', 0, 1);
  const draws = (kind: SamplerKind, options: SamplerOptions) =>
    run(samplerFromConfig(kind, stableDiffusion, options), model, noise).draws;

  it('comes between the steps of a consistency sampler, not after the last', () => {
    expect([1, 2, 4, 8].map((steps) => draws('lcm', { steps }))).toEqual([0, 1, 3, 7]);
    expect(draws('tcd', { steps: 4, gamma: 0.3 })).toBe(3);
    expect(draws('tcd', { steps: 4, gamma: 0 })).toBe(0);
  });

  it('comes in every step of DDIM with eta above 0', () => {
    expect(draws('ddim', { steps: 4 })).toBe(0);
    expect(draws('ddim', { steps: 4, eta: 1 })).toBe(4);
  });

  it('comes in every step of ancestral sampling', () => {
    expect(draws('euler-ancestral', { steps: 4 })).toBe(4);
  });

  const sde = { ...stableDiffusion, algorithm_type: 'sde-dpmsolver++' };

  it('comes in every step of DPM-Solver++ for the SDE', () => {
    expect(draws('dpm-solver', { steps: 4 })).toBe(0);
    const sampler = samplerFromConfig('dpm-solver', sde, { steps: 4 });
    expect(run(sampler, model, noise).draws).toBe(4);
  });

  it.each([
    ['DDIM with eta 1', () => samplerFromConfig('ddim', stableDiffusion, { steps: 1000, eta: 1 })],
    ['DPM-Solver++ for the SDE', () => samplerFromConfig('dpm-solver', sde, { steps: 200 })],
  ])('keeps the spread of the data under %s', (_, create) => {
    const sampler = create();
    const { sample } = run(sampler, gaussianModel('epsilon', 0, 0.5), noise);
    const deviation = Math.sqrt(sample.reduce((sum, x) => sum + x * x, 0) / size);
    expect(deviation).toBeGreaterThan(0.5 * (1 - 4 / Math.sqrt(2 * size)));
    expect(deviation).toBeLessThan(0.5 * (1 + 4 / Math.sqrt(2 * size)));
  });
});

describe('startStep', () => {
  it('drops the head of the schedule as diffusers does', () => {
    expect([1, 0.8, 0.58, 0.5, 0.1].map((strength) => startStep(50, strength))).toEqual([0, 10, 22, 25, 45]);
    expect(startStep(4, 0.1)).toBe(4);
  });
});
