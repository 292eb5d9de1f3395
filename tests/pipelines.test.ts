/** The library's pipeline beyond its numbers: what it yields, warns of, refuses, and how it is stopped. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type GenerationStep, loadPipeline, type Pipeline, UsageError } from '../src/index.ts';

const models = fileURLToPath(new URL('./fixtures/golden/pipelines', import.meta.url));
let lcm: Pipeline;
let teacher: Pipeline;
beforeAll(async () => {
  lcm = await loadPipeline(join(models, 'lcm/model'));
  teacher = await loadPipeline(join(models, 'sd/model'));
});
afterAll(async () => {
  await lcm.dispose();
  await teacher.dispose();
});

it('yields every step with a preview, and the picture at the end', async () => {
  const steps: GenerationStep[] = [];
  for await (const step of lcm.generate({ prompt: 'a fox', seed: 1, steps: 3 })) steps.push(step);
  expect(steps.map(({ step, steps: count, timestep }) => [step, count, timestep])).toEqual([
    [1, 3, 999],
    [2, 3, 679],
    [3, 3, 339],
  ]);
  const { images, latents, settings, timings } = await lcm.run({ prompt: 'a fox', seed: 1, steps: 3 });
  expect(latents).toEqual(steps[2]!.denoised);
  expect(await steps[2]!.preview()).toEqual(images);
  expect(await steps[0]!.decode()).not.toEqual(images);
  expect(settings).toMatchObject({
    seeds: [1],
    steps: 3,
    guidanceScale: 8.5,
    width: 64,
    height: 64,
    scheduler: 'lcm',
  });
  expect(Object.keys(timings)).toEqual(['load', 'text', 'denoise', 'decode']);
});

it('draws each prompt of a batch as it would alone', async () => {
  const prompts = ['a fox', 'the sea'];
  const together = await lcm.run({ prompt: prompts, seed: 5, steps: 2 });
  for (const [i, prompt] of prompts.entries()) {
    const alone = await lcm.run({ prompt, seed: 5 + i, steps: 2 });
    const difference = alone.images[0]!.data.map((value, at) =>
      Math.abs(value - together.images[i]!.data[at]!),
    );
    expect(Math.max(...difference)).toBeLessThanOrEqual(1);
  }
});

it('takes what the model was made for where the request says nothing', async () => {
  const { settings } = await teacher.run({ prompt: 'a fox', steps: 2 });
  expect(settings).toMatchObject({ guidanceScale: 7.5, guidance: 'classifier-free', scheduler: 'ddim' });
  expect(settings.seeds[0]).toBeGreaterThanOrEqual(0);
});

it('stops between two steps, and works on afterwards', async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  const work = lcm.run({ prompt: 'a fox', seed: 1, steps: 4, signal: stop.signal }, ({ step }) => {
    seen.push(step);
    if (step === 2) stop.abort(new Error('enough'));
  });
  await expect(work).rejects.toThrow('enough');
  expect(seen).toEqual([1, 2]);
  expect((await lcm.run({ prompt: 'a fox', seed: 1, steps: 1 })).images).toHaveLength(1);
});

it('lets go when nobody asks for more steps', async () => {
  for await (const { step } of lcm.generate({ prompt: 'a fox', seed: 1, steps: 4 })) if (step === 1) break;
  expect((await lcm.run({ prompt: 'a fox', seed: 1, steps: 1 })).images).toHaveLength(1);
});

it('warns of what has no effect', async () => {
  const heard = async (pipeline: Pipeline, guidanceScale?: number) => {
    const warnings: string[] = [];
    await pipeline.run({
      ...{ prompt: 'a fox', negativePrompt: 'blurry', steps: 1, guidanceScale },
      onWarning: (message) => warnings.push(message),
    });
    return warnings;
  };
  expect(await heard(lcm)).toEqual([expect.stringMatching(/the negative prompt has no effect: .* built in/)]);
  expect(await heard(teacher, 1)).toEqual([
    expect.stringMatching(/guidance scale 1 makes a single pass; raise it/),
  ]);
  expect(await heard(teacher, 2)).toEqual([]);
});

it.each([
  [{ steps: 51 }, /steps 51: .* a grid of 50 timesteps/],
  [{ steps: 1.5 }, /steps 1\.5: expected a whole number/],
  [{ width: 63 }, /width 63: .* multiples of 8/],
  [{ height: -8 }, /height -8: .* use 8/],
  [{ width: Number.NaN }, /width NaN/],
  [{ guidanceScale: -2 }, /guidance scale -2: expected a number from 0/],
  [{ guidanceRescale: 2 }, /guidance rescale 2: expected a number from 0 to 1/],
  [{ seed: [1, 2] }, /2 seeds for 1 pictures/],
  [{ seed: 0.5 }, /a seed is an integer/],
  [{ prompt: [] }, /the list of prompts is empty/],
  [{ numImages: 0 }, /number of images 0/],
  [{ negativePrompt: ['a', 'b'] }, /2 negative prompts for 1 pictures/],
  [{ clipSkip: 3 }, /clip skip 3: the text encoder has 2 layers/],
  [{ timesteps: [10, 500] }, /timesteps 10, 500: expected integers in descending order/],
  [{ scheduler: 'ddim' as const, timesteps: [500] }, /timesteps .* are for the schedulers lcm and tcd/],
  [{ scheduler: 'euler' as const, eta: 0.5 }, /eta is for the schedulers ddim and tcd/],
])('refuses %j', async (request, message) => {
  const work = lcm.run({ prompt: 'a fox', ...request });
  await expect(work).rejects.toThrow(message);
  await expect(work).rejects.toBeInstanceOf(UsageError);
});

it.each(['lcm', 'tcd', 'ddim', 'euler', 'dpm++', 'dpm++-karras'] as const)(
  'samples with %s',
  async (scheduler) => {
    const { latents } = await teacher.run({
      prompt: 'a fox',
      seed: 1,
      steps: 4,
      guidanceScale: 2,
      scheduler,
    });
    expect(latents.data.every((value) => Number.isFinite(Number(value)))).toBe(true);
  },
);
