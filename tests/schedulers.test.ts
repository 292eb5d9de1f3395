/** A model's own scheduler: read when it is used, and no obstacle where another is asked for. */
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { type Components, loadComponents } from '../src/components/components.ts';
import { diffusersFiles } from '../src/components/node/diffusers-files.ts';
import { schedulerNames } from '../src/components/scheduler.ts';
import type { SchedulerConfig } from '../src/diffusion/samplers/index.ts';
import { InputError, UsageError } from '../src/errors.ts';
import { planGeneration } from '../src/pipelines/generation.ts';
import type { TextToImageRequest } from '../src/pipelines/settings.ts';
import { withScheduler } from './with-scheduler.ts';

const model = fileURLToPath(new URL('./fixtures/golden/pipelines/sd/model', import.meta.url));

async function modelWith(className: string, fields?: SchedulerConfig): Promise<Components> {
  return loadComponents(withScheduler(await diffusersFiles(model), className, { fields }));
}

const plan = (components: Components, request: Omit<TextToImageRequest, 'prompt'> = {}) =>
  planGeneration(components, { prompt: 'a fox', seed: 1, steps: 4, ...request });

describe.each([
  ['DPMSolverSDEScheduler', { noise_sampler_seed: 3 }, /DPMSolverSDEScheduler, .* not among those here/],
  ['MyOwnScheduler', { anything: { at: 'all' } }, /MyOwnScheduler, .* not among those here/],
  ['DPMSolverMultistepScheduler', { algorithm_type: 'dpmsolver' }, /algorithm_type "dpmsolver" is not supp/],
  ['DPMSolverMultistepScheduler', { use_flow_sigmas: true }, /use_flow_sigmas true is not supported/],
  ['EulerDiscreteScheduler', { timestep_type: 'continuous' }, /timestep_type "continuous" is not supported/],
  [
    'DPMSolverMultistepScheduler',
    { use_karras_sigmas: true, use_beta_sigmas: true },
    /spreads noise levels in several ways at once/,
  ],
])('a model that comes with %s and %j', (className, fields, reason) => {
  it('is drawn with the samplers that do not read that', async () => {
    const components = await modelWith(className, fields);
    for (const scheduler of ['lcm', 'tcd', 'ddim', 'pndm', 'euler-a'] as const) {
      expect(plan(components, { scheduler }).sampler.timesteps.length).toBeGreaterThanOrEqual(4);
    }
  });

  it('is drawn with LCM when an LCM-LoRA says so', async () => {
    const components = { ...(await modelWith(className, fields)), defaults: { scheduler: 'lcm' as const } };
    expect(plan(components).sampler.timesteps).toEqual([999, 759, 499, 259]);
  });

  it('says why its own cannot be used, and what can', async () => {
    const components = await modelWith(className, fields);
    expect(components.scheduler.name).toBeUndefined();
    expect(() => plan(components)).toThrow(UsageError);
    expect(() => plan(components)).toThrow(reason);
    expect(() => plan(components)).toThrow(`choose another one, of ${schedulerNames.join(', ')}`);
  });
});

it.each([
  ['dpm++', { algorithm_type: 'dpmsolver++' }],
  ['dpm++-karras', { algorithm_type: 'dpmsolver++', use_karras_sigmas: true }],
  ['dpm++-sde', { algorithm_type: 'sde-dpmsolver++', use_exponential_sigmas: true }],
  ['dpm++-sde-karras', { algorithm_type: 'sde-dpmsolver++', use_karras_sigmas: true }],
])('%s is the name of %j', async (name, fields) => {
  const components = await modelWith('DPMSolverMultistepScheduler', fields);
  expect(components.scheduler.name).toBe(name);
  expect(plan(components).settings.scheduler).toBe(name);
});

it('names the folder where a sampler cannot use what it reads', async () => {
  const components = await modelWith('MyOwnScheduler', { num_train_timesteps: '1000' });
  const work = () => plan(components, { scheduler: 'ddim' });
  expect(work).toThrow(InputError);
  expect(work).toThrow(/model\/scheduler: scheduler config: num_train_timesteps "1000" is not supported/);
});
