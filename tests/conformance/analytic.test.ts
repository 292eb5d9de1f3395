/** Predictions and solver steps on Gaussian data, against closed forms. */
import { describe, expect, it } from 'vitest';
import { noiseSchedule } from '../../src/diffusion/noise-schedule.ts';
import { predictedNoise, predictedOriginal } from '../../src/diffusion/prediction.ts';
import { ddimSampler } from '../../src/diffusion/samplers/index.ts';
import { skippingGrid } from '../../src/diffusion/skipping-grid.ts';
import { describeGolden, expectClose, readJson } from './golden.ts';

interface Row {
  m: number;
  s: number;
  x: number;
  t: number;
  alpha_cumprod: number;
  eps: number;
  x0: number;
  v: number;
  f_to_data: number;
  f_to_index_0: number;
  ddim_step_prev_20: number;
}

/** float32, relative to the largest value of a row set. */
const tolerance = 1e-5;
const schedule = noiseSchedule();

describeGolden('analytic', (folder) => {
  const rows = readJson<{ vp: Row[] }>(folder, 'gaussian_flow.json').vp;
  const column = (name: keyof Row, of = rows) => Float32Array.from(of, (row) => row[name]);
  it('has cases', () => expect(rows.length).toBeGreaterThan(0));

  it('the schedule is the one of the fixture', () => {
    const actual = rows.map(({ t }) => schedule.alphasCumprod[t]!);
    expectClose(actual, column('alpha_cumprod'), 1e-6, 'relative');
  });

  describe.each(['epsilon', 'v_prediction', 'sample'] as const)('%s', (type) => {
    const output = { epsilon: 'eps', v_prediction: 'v', sample: 'x0' } as const;
    const predicted = (of: typeof predictedOriginal) =>
      rows.map((row) => {
        const [alpha, sigma] = [schedule.alphas[row.t]!, schedule.sigmas[row.t]!];
        return of(type, Float32Array.of(row[output[type]]), Float32Array.of(row.x), alpha, sigma)[0]!;
      });
    it('gives the clean sample', () => {
      expectClose(predicted(predictedOriginal), column('x0'), tolerance, 'relative');
    });
    it('gives the noise', () => {
      expectClose(predicted(predictedNoise), column('eps'), tolerance, 'relative');
    });
  });

  it('one DDIM step over an interval of the skipping grid', () => {
    const grid = skippingGrid(50, schedule.length);
    const onGrid = rows.filter(({ t }) => grid.timesteps.includes(t));
    expect(onGrid.length).toBeGreaterThan(0);
    const sampler = ddimSampler(
      { ...stableDiffusion, timestep_spacing: 'trailing', set_alpha_to_one: false },
      { steps: grid.size },
    );
    const stepped = onGrid.map(({ t, x, eps }) => {
      const i = sampler.timesteps.indexOf(t);
      return sampler.step(Float32Array.of(eps), i, Float32Array.of(x), noNoise).sample[0]!;
    });
    expectClose(stepped, column('ddim_step_prev_20', onGrid), tolerance, 'relative');
  });

  it.each([
    ['f_to_data', true],
    ['f_to_index_0', false],
  ] as const)('a thousand DDIM steps follow the trajectory, %s', (name, set_alpha_to_one) => {
    const sampler = ddimSampler({ ...stableDiffusion, set_alpha_to_one }, { steps: schedule.length });
    const ends = rows.map((row) => {
      let sample = Float32Array.of(row.x);
      for (let i = sampler.timesteps.indexOf(row.t); i < sampler.timesteps.length; i++) {
        const t = sampler.timesteps[i]!;
        sample = Float32Array.from(sampler.step(exactNoise(row, t, sample), i, sample, noNoise).sample);
      }
      return sample[0]!;
    });
    // What remains is the solver's own error at a thousand steps.
    expectClose(ends, column(name), 3e-3, 'relative');
  });
});

const stableDiffusion = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  clip_sample: false,
} as const;

function exactNoise({ m, s }: Row, t: number, x: Float32Array): Float32Array {
  const [alpha, sigma] = [schedule.alphas[t]!, schedule.sigmas[t]!];
  return x.map((value) => (sigma * (value - alpha * m)) / ((alpha * s) ** 2 + sigma ** 2));
}

function noNoise(): never {
  throw new Error('DDIM with eta 0 draws no noise');
}
