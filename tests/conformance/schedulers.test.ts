/** Noise schedules, scalings, embeddings and sampler chains against diffusers' schedulers. */
import { describe, expect, it } from 'vitest';
import { createSampler, type SchedulerName, schedulerNames } from '../../src/components/scheduler.ts';
import { boundaryScalings } from '../../src/diffusion/consistency.ts';
import { guidanceScaleEmbedding } from '../../src/diffusion/guidance-embedding.ts';
import { addNoise, noiseSchedule } from '../../src/diffusion/noise-schedule.ts';
import { predictedNoise, predictedOriginal } from '../../src/diffusion/prediction.ts';
import { readConfig } from '../../src/diffusion/samplers/config.ts';
import {
  lcmSampler,
  type Sampler,
  type SamplerOptions,
  type SchedulerConfig,
  type SigmaSampler,
  samplerFromConfig,
  samplerKind,
} from '../../src/diffusion/samplers/index.ts';
import { lcmDefaults } from '../../src/diffusion/samplers/lcm.ts';
import { UsageError } from '../../src/errors.ts';
import type { HostTensor } from '../../src/graph/host-tensor.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';

/** The stand-in for a network that the chains were made with. */
function network(input: Float32Array, t: number): Float32Array {
  return input.map((x) => Math.sin(x * 1.3 + t / 1000));
}

/** Runs `sampler` and hands every step to `check`; noise comes from the fixture. Returns the noises used. */
function runChain(
  sampler: Sampler,
  tensors: Map<string, HostTensor>,
  start: Float32Array,
  check: (i: number, step: { sample: Float32Array; denoised: Float32Array }) => void,
): number {
  let used = 0;
  const noise = () => floats(tensors, `noise/${used++}`) as Float32Array;
  let sample = start;
  sampler.timesteps.forEach((t, i) => {
    const step = sampler.step(network(sampler.scaleModelInput(sample, i), t), i, sample, noise);
    check(i, step);
    sample = step.sample;
  });
  return used;
}

describeGolden('schedulers', (folder) => {
  describe('alphas_cumprod', () => {
    const cases = readJson<Record<string, SchedulerConfig>>(folder, 'alphas_cumprod.json');
    const tensors = readTensors(folder, 'alphas_cumprod.safetensors');
    it('has cases', () => expect(Object.keys(cases).length).toBeGreaterThan(0));
    it.each(Object.entries(cases))('%s', (name, config) => {
      const schedule = noiseSchedule(readConfig('lcm', config, { defaults: lcmDefaults }));
      expectClose(schedule.betas, floats(tensors, `${name}/betas`), 1e-6, 'relative');
      expectClose(schedule.alphasCumprod, floats(tensors, `${name}/alphas_cumprod`), 1e-6, 'relative');
      expect(schedule.alphasCumprod[0]).toBeCloseTo(config.final_alpha_cumprod_not_one as number, 6);
    });
  });

  it('add_noise and get_velocity', () => {
    const tensors = readTensors(folder, 'add_noise.safetensors');
    const original = floats(tensors, 'original') as Float32Array;
    const noise = floats(tensors, 'noise') as Float32Array;
    const timesteps = Array.from(tensors.get('timesteps')!.data as BigInt64Array, Number);
    const schedule = noiseSchedule();
    expectClose(addNoise(schedule, original, noise, timesteps), floats(tensors, 'noisy'), 1e-6, 'relative');
    // What diffusers calls velocity tells the picture and the noise.
    const [noisy, velocity] = ['noisy', 'velocity'].map((name) => floats(tensors, name) as Float32Array);
    const pixels = original.length / timesteps.length;
    for (const [i, t] of timesteps.entries()) {
      const of = (values: Float32Array) => values.subarray(i * pixels, (i + 1) * pixels);
      const level = [schedule.alphas[t]!, schedule.sigmas[t]!] as const;
      const told = [of(velocity!), of(noisy!), ...level] as const;
      expectClose(predictedOriginal('v_prediction', ...told), of(original), 1e-5, 'relative');
      expectClose(predictedNoise('v_prediction', ...told), of(noise), 1e-5, 'relative');
    }
  });

  it('boundary scalings', () => {
    const rows = readJson<{ timestep_scaling: number; t: number; c_skip: number; c_out: number }[]>(
      folder,
      'boundary_scalings.json',
    );
    expect(rows.length).toBeGreaterThan(0);
    for (const { timestep_scaling, t, c_skip, c_out } of rows) {
      const { cSkip, cOut } = boundaryScalings(t, timestep_scaling);
      expect(cSkip).toBeCloseTo(c_skip, 12);
      expect(cOut).toBeCloseTo(c_out, 12);
    }
  });

  describe('guidance embedding', () => {
    const tensors = readTensors(folder, 'guidance_embedding.safetensors');
    it('has cases', () => expect(tensors.size).toBeGreaterThan(0));
    it.each([...tensors.keys()])('w/dimension %s', (name) => {
      const [w, dim] = name.split('/').map(Number);
      const tolerance = w! * 1000 > 1000 ? 1e-3 : 1e-5;
      expectClose(guidanceScaleEmbedding([w!], dim!), floats(tensors, name), tolerance);
    });
  });

  describe('LCM timesteps', () => {
    interface Case {
      num_inference_steps: number;
      original_inference_steps: number;
      strength: number;
      timesteps?: number[];
      error?: { message: string };
    }
    const fixture = readJson<{
      default_scheduler: Case[];
      argument_errors: { args: Partial<Case> }[];
    }>(folder, 'lcm_timesteps.json');
    const sampler = (args: Partial<Case>) =>
      lcmSampler(
        {},
        {
          steps: args.num_inference_steps,
          timesteps: args.timesteps,
          strength: args.strength,
          originalSteps: args.original_inference_steps,
        },
      );

    it('has cases', () => expect(fixture.default_scheduler.length).toBeGreaterThan(0));
    it.each(fixture.default_scheduler)(
      '$num_inference_steps of $original_inference_steps, strength $strength',
      ({ timesteps, error, ...args }) => {
        if (error === undefined) expect(sampler(args).timesteps).toEqual(timesteps);
        else expect(() => sampler(args)).toThrow(UsageError);
      },
    );
    it.each(fixture.argument_errors)('refuses $args', ({ args }) => {
      expect(() => sampler(args)).toThrow(UsageError);
    });
  });

  describe('LCM chains', () => {
    interface Case {
      config: SchedulerConfig;
      set_timesteps: { num_inference_steps?: number; timesteps?: number[]; strength?: number };
      timesteps: number[];
      noises_used: number;
    }
    const cases = readJson<Record<string, Case>>(folder, 'lcm_chains.json');
    const tensors = readTensors(folder, 'lcm_chains.safetensors');
    it('has cases', () => expect(Object.keys(cases).length).toBeGreaterThan(0));
    it.each(Object.entries(cases))('%s', (name, { config, set_timesteps, timesteps, noises_used }) => {
      const { num_inference_steps: steps, ...rest } = set_timesteps;
      const batchSize = tensors.get('sample')!.shape[0]!;
      const sampler = samplerFromConfig('lcm', config, { steps, ...rest, batchSize });
      expect(sampler.timesteps).toEqual(timesteps);
      const start = floats(tensors, 'sample') as Float32Array;
      const used = runChain(sampler, tensors, start, (i, { sample, denoised }) => {
        expectClose(denoised, floats(tensors, `${name}/${i}/denoised`), 1e-4, 'relative');
        expectClose(sample, floats(tensors, `${name}/${i}/prev_sample`), 1e-4, 'relative');
      });
      expect(used).toBe(noises_used);
    });
  });

  describe('other samplers', () => describeChains(folder, 'teacher_chains'));
});

describeGolden('schedulers/solvers', (folder) => describeChains(folder, 'chains'));

/** Steps of samplers, each with the noise levels, the start and the samples that diffusers' scheduler has. */
function describeChains(folder: string, file: string): void {
  interface Case {
    class: string;
    config: SchedulerConfig;
    num_inference_steps: number;
    timesteps: number[];
    sigmas?: number[];
    init_noise_sigma: number;
    eta_is_gamma?: number;
    noises_used: number;
  }
  const cases = readJson<Record<string, Case>>(folder, `${file}.json`);
  const tensors = readTensors(folder, `${file}.safetensors`);
  it('has cases', () => expect(Object.keys(cases).length).toBeGreaterThan(0));
  it.each(Object.entries(cases))('%s', (name, expected) => {
    const kind = samplerKind(expected.class)!;
    const options: SamplerOptions = { steps: expected.num_inference_steps };
    const gamma = kind === 'tcd' ? { gamma: expected.eta_is_gamma } : {};
    const sampler = samplerFromConfig(kind, expected.config, { ...options, ...gamma });

    const isWhole = expected.timesteps.every(Number.isInteger);
    expectClose(sampler.timesteps, expected.timesteps, isWhole ? 0 : 1e-4);
    expectClose([sampler.initNoiseSigma], [expected.init_noise_sigma], 1e-6, 'relative');
    if (expected.sigmas) expectClose((sampler as SigmaSampler).sigmas, expected.sigmas, 1e-6, 'relative');
    const noise = floats(tensors, 'sample') as Float32Array;
    const start = noise.map((x) => x * sampler.initNoiseSigma);
    expectClose(start, floats(tensors, `${name}/start`), 1e-6, 'relative');
    const used = runChain(sampler, tensors, start, (i, { sample }) => {
      expectClose(sample, floats(tensors, `${name}/${i}`), 1e-4, 'relative');
    });
    expect(used).toBe(expected.noises_used);
  });
}

describeGolden('schedulers/from_config', (folder) => {
  interface Row {
    from: string[];
    timesteps: number[];
    sigmas?: number[];
    init_noise_sigma: number;
    noises_used: number;
    sample: number[];
    /** Where diffusers cannot draw, or draws what is no number. */
    error?: string;
  }
  const fixture = readJson<{
    steps: number;
    configs: Record<string, SchedulerConfig>;
    start: number[];
    noises: number[][];
    rows: Record<SchedulerName, Row[]>;
  }>(folder, 'from_config.json');
  const cases = schedulerNames.flatMap((name) =>
    (fixture.rows[name] ?? []).flatMap((row) => row.from.map((config) => ({ name, config, row }))),
  );

  it('has every sampler with every configuration', () => {
    expect(Object.keys(fixture.rows)).toEqual(schedulerNames);
    expect(cases).toHaveLength(schedulerNames.length * Object.keys(fixture.configs).length);
  });

  it.each(cases)('$name reads $config', ({ name, config, row }) => {
    const create = () =>
      createSampler(name, fixture.configs[config]!, { steps: fixture.steps, batchSize: 1 });
    const draw = (sampler: Sampler) => {
      let used = 0;
      const noise = () => Float32Array.from(fixture.noises[used++]!);
      let sample = Float32Array.from(fixture.start, (x) => x * sampler.initNoiseSigma) as Float32Array;
      sampler.timesteps.forEach((t, i) => {
        const input = sampler.scaleModelInput(sample, i);
        // Flat where a schedule ends in next to no signal and the sample is large, so that rounding stays small.
        const output = input.map((x) => (1.3 * x) / (1 + x * x) + t / 2000);
        sample = sampler.step(output, i, sample, noise).sample;
      });
      return { sample, used };
    };
    if (row.error === undefined) {
      const sampler = create();
      expectClose(sampler.timesteps, row.timesteps, 1e-3);
      if (row.sigmas) expectClose((sampler as SigmaSampler).sigmas, row.sigmas, 2e-6, 'relative');
      expectClose([sampler.initNoiseSigma], [row.init_noise_sigma], 1e-6, 'relative');
      const { sample, used } = draw(sampler);
      // Where there is next to no signal, diffusers' own rounding shows.
      const tolerance = (row.sigmas?.[0] ?? 0) > 1000 ? 1e-3 : 1e-4;
      expectClose(sample, row.sample, tolerance, 'relative');
      expect(used).toBe(row.noises_used);
    } else if (row.error.includes('cannot be larger than')) {
      expect(create).toThrow(UsageError);
    } else {
      expect(draw(create()).sample.every(Number.isFinite)).toBe(true);
    }
  });
});
