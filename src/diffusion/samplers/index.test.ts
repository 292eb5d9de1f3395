import { describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../../errors.ts';
import { lcmSampler, samplerFromConfig, samplerKind } from './index.ts';

describe('samplerFromConfig', () => {
  it("takes another sampler's file and leaves alone what it does not have", () => {
    const pndm = {
      _class_name: 'PNDMScheduler',
      beta_end: 0.012,
      beta_schedule: 'scaled_linear',
      beta_start: 0.00085,
      num_train_timesteps: 1000,
      set_alpha_to_one: false,
      skip_prk_steps: true,
      steps_offset: 1,
      trained_betas: null,
      clip_sample: false,
    };
    expect(samplerFromConfig('ddim', pndm, { steps: 5 }).timesteps).toEqual([801, 601, 401, 201, 1]);
    expect(samplerFromConfig('lcm', pndm, { steps: 4 }).timesteps).toEqual([999, 759, 499, 259]);
    expect(samplerFromConfig('pndm', pndm, { steps: 4 }).timesteps).toEqual([751, 501, 501, 251, 1]);
  });

  it.each([
    ['lcm', 'prediction_type', 'flow', /prediction_type "flow" .* lcm .*epsilon, v_prediction, sample/],
    ['lcm', 'beta_schedule', 'sigmoid', /beta_schedule "sigmoid" .*linear, scaled_linear, squaredcos_cap_v2/],
    [
      'lcm',
      'original_inference_steps',
      '50',
      /original_inference_steps "50" .*a positive integer up to 10000/,
    ],
    ['lcm', 'beta_start', Number.NaN, /beta_start NaN .*a number/],
    ['ddim', 'clip_sample', 'yes', /clip_sample "yes" .*a boolean/],
    ['ddim', 'trained_betas', ['0.1'], /trained_betas .*a list of numbers/],
    ['ddim', 'timestep_spacing', 'even', /timestep_spacing "even" .*leading, trailing, linspace/],
    ['euler', 'interpolation_type', 'log_linear', /interpolation_type "log_linear" .* euler .*linear/],
    ['euler', 'final_sigmas_type', 'one', /final_sigmas_type "one" .*zero, sigma_min/],
    ['pndm', 'prediction_type', 'sample', /prediction_type "sample" .* pndm .*epsilon, v_prediction/],
    ['euler-ancestral', 'prediction_type', 'sample', /prediction_type "sample" .*epsilon, v_prediction/],
    ['dpm-solver', 'solver_order', 4, /solver_order 4 .*1, 2, 3/],
    ['dpm-solver', 'algorithm_type', 'dpmsolver', /algorithm_type .* dpmsolver\+\+, sde-dpmsolver\+\+/],
    ['unipc', 'solver_p', { solver: 'other' }, /solver_p {"solver":"other"} .* unipc .*null/],
    ['unipc', 'disable_corrector', 'all', /disable_corrector "all" .*a list of numbers/],
    ['deis', 'use_flow_sigmas', true, /use_flow_sigmas true .* deis .*false/],
    ['dpm-solver', 'variance_type', 'learned', /variance_type "learned" .*null/],
  ] as const)('%s refuses %s %j', (kind, field, value, message) => {
    const create = () => samplerFromConfig(kind, { [field]: value }, { steps: 4 });
    expect(create).toThrow(InputError);
    expect(create).toThrow(message);
  });

  it('refuses options that the sampler does not take', () => {
    const create = () => samplerFromConfig('ddim', {}, { steps: 4, strength: 0.5 });
    expect(create).toThrow(UsageError);
    expect(create).toThrow('strength: the ddim sampler takes steps, eta, batchSize');
    expect(() => samplerFromConfig('ddim', {}, { timesteps: [9] })).toThrow(UsageError);
    expect(() => samplerFromConfig('tcd', {}, { steps: 4, gamma: 1.5 })).toThrow(
      /gamma 1.5: use a number from 0/,
    );
    expect(() => samplerFromConfig('ddim', {}, { steps: 4, eta: -1 })).toThrow(/eta -1: use a number from 0/);
  });

  it('refuses a first timestep beyond the schedule', () => {
    expect(() => samplerFromConfig('ddim', { steps_offset: 1 }, { steps: 1000 })).toThrow(
      /steps 1000: with steps_offset 1 they begin at timestep 1000/,
    );
  });

  it('keeps noise levels finite at zero terminal signal-to-noise ratio', () => {
    const config = { rescale_betas_zero_snr: true, timestep_spacing: 'trailing' };
    for (const kind of ['euler', 'euler-ancestral', 'dpm-solver', 'unipc'] as const) {
      const sampler = samplerFromConfig(kind, config, { steps: 4 });
      const { sample } = sampler.step(Float32Array.of(0.5), 0, Float32Array.of(sampler.initNoiseSigma), () =>
        Float32Array.of(0),
      );
      expect(sampler.timesteps[0]).toBe(999);
      expect(sample[0]).toSatisfy(Number.isFinite);
    }
  });

  it('clips the minimum of λ where the cosine schedule has next to no signal', () => {
    const config = { beta_schedule: 'squaredcos_cap_v2', lambda_min_clipped: -5.1 };
    const [first] = samplerFromConfig('dpm-solver', config, { steps: 10 }).timesteps;
    const [unclipped] = samplerFromConfig(
      'dpm-solver',
      { ...config, lambda_min_clipped: null },
      { steps: 10 },
    ).timesteps;
    expect(unclipped).toBe(999);
    expect(first).toBeLessThan(999);
    expect(first).toBeGreaterThan(980);
  });
});

it('refuses to spread noise levels in two ways at once', () => {
  const config = { use_karras_sigmas: true, use_beta_sigmas: true };
  for (const kind of ['euler', 'heun', 'dpm-solver', 'unipc', 'deis'] as const) {
    const create = () => samplerFromConfig(kind, config, { steps: 4 });
    expect(create).toThrow(InputError);
    expect(create).toThrow(
      /use_karras_sigmas and use_beta_sigmas are both true; expected one of them at most/,
    );
  }
});

describe('UniPC', () => {
  it.each([
    ['at no noise', { final_sigmas_type: 'zero', predict_x0: false }],
    ['where it stands', { final_sigmas_type: 'sigma_min', use_karras_sigmas: true, solver_order: 3 }],
  ])('ends %s in a step of first order, where diffusers gives no numbers', (_, fields) => {
    const config = { lower_order_final: false, ...fields };
    const sampler = samplerFromConfig('unipc', config, { steps: 4 });
    let sample = Float32Array.of(0.5, -1) as Float32Array;
    sampler.timesteps.forEach((_, i) => {
      sample = sampler.step(sample.map(Math.sin), i, sample, () => sample).sample;
    });
    expect(sample.every(Number.isFinite)).toBe(true);
  });
});

describe('LCM', () => {
  it('says how many steps there are', () => {
    expect(() => lcmSampler({}, { steps: 60 })).toThrow(
      'steps 60: the model was distilled on a grid of 50 timesteps; use 1 to 50',
    );
    expect(() => lcmSampler({}, { steps: 16, strength: 0.3 })).toThrow(
      'steps 16: the model was distilled on a grid of 50 timesteps, of which strength 0.3 leaves 15; ' +
        'use 1 to 15, or a strength of at least 0.32',
    );
    expect(() => lcmSampler({}, { steps: 1, strength: 0.01 })).toThrow(
      /leaves 0; use a strength of at least 0.02/,
    );
    expect(() => lcmSampler({}, { steps: 1, strength: 2 })).toThrow(
      /strength 2: use a number above 0, up to 1/,
    );
  });

  it('refuses ε-prediction where there is no signal', () => {
    const sampler = lcmSampler({ rescale_betas_zero_snr: true }, { steps: 1 });
    const one = Float32Array.of(1);
    expect(() => sampler.step(one, 0, one, () => one)).toThrow(/zero signal-to-noise ratio/);
  });

  it("gives diffusers' own regression value (test_scheduler_lcm.py, one step)", () => {
    const sampler = lcmSampler({ beta_start: 0.00085, beta_end: 0.012 }, { steps: 1 });
    const t = sampler.timesteps[0]!;
    const size = 4 * 3 * 8 * 8;
    // Their sample is arange(768) / 768 laid out as [3, 8, 8, 4]; sums do not see the order.
    const sample = Float32Array.from({ length: size }, (_, i) => i / size);
    const output = sample.map((x) => (x * t) / (t + 1));
    const { denoised } = sampler.step(output, 0, sample, () => sample);
    const sum = denoised.reduce((total, x) => total + Math.abs(x), 0);
    expect(sum).toBeCloseTo(18.7097, 2);
    expect(sum / size).toBeCloseTo(0.0244, 3);
  });
});

describe('TCD', () => {
  it('spreads timesteps over the whole schedule when given original steps', () => {
    const { timesteps } = samplerFromConfig('tcd', {}, { steps: 4, originalSteps: 50 });
    expect(timesteps).toEqual([999, 749, 499, 249]);
    expect(() => samplerFromConfig('tcd', {}, { steps: 4, originalSteps: 3 })).toThrow(UsageError);
  });
});

describe('PNDM', () => {
  it('takes the second timestep twice, where there is one', () => {
    const config = { skip_prk_steps: true };
    expect(samplerFromConfig('pndm', config, { steps: 1 }).timesteps).toEqual([0]);
    expect(samplerFromConfig('pndm', config, { steps: 2 }).timesteps).toEqual([500, 0, 0]);
  });

  it('needs four steps for its Runge-Kutta start', () => {
    expect(samplerFromConfig('pndm', {}, { steps: 4 }).timesteps).toHaveLength(13);
    expect(() => samplerFromConfig('pndm', {}, { steps: 3 })).toThrow(
      /steps 3: the Runge-Kutta start .*needs at least 4/,
    );
  });
});

describe('samplerKind', () => {
  it('knows the classes it has, and no others', () => {
    expect(samplerKind('LCMScheduler')).toBe('lcm');
    expect(samplerKind('DPMSolverMultistepScheduler')).toBe('dpm-solver');
    expect(samplerKind('PNDMScheduler')).toBe('pndm');
    expect(samplerKind('UniPCMultistepScheduler')).toBe('unipc');
    expect(samplerKind('DPMSolverSDEScheduler')).toBeUndefined();
  });

  it.each(['euler', 'heun', 'dpm-solver', 'unipc', 'deis'] as const)(
    '%s takes the longest schedule with as many steps',
    (kind) => {
      const config = { num_train_timesteps: 10_000, beta_end: 0.002, use_karras_sigmas: true };
      const { timesteps } = samplerFromConfig(kind, config, { steps: 10_000 });
      expect(timesteps.every(Number.isFinite)).toBe(true);
    },
  );
});
