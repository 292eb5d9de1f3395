/** The library's pipeline beyond its numbers: what it yields, warns of, refuses, and how it is stopped. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadComponents } from '../src/components/components.ts';
import {
  createNodeEngine,
  createPipeline,
  diffusersFiles,
  type Engine,
  type GenerationStep,
  loadPipeline,
  type Pipeline,
  schedulerNames,
  type TextToImageRequest,
  UsageError,
} from '../src/index.ts';
import { settingsOf } from '../src/pipelines/settings.ts';

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
  const { images, latents, settings, timings } = await lcm.generate({ prompt: 'a fox', seed: 1, steps: 3 });
  expect(latents).toEqual(steps[2]!.denoised);
  expect(await steps[2]!.decode()).toEqual(images);
  expect(await steps[0]!.decode()).not.toEqual(images);
  // Decoding is more work than a pass of this UNet, so a preview shows one pixel per latent.
  const [preview] = await steps[2]!.preview();
  expect([preview!.width, preview!.height]).toEqual([8, 8]);
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

it('draws at the height and the width that a UNet was trained with', async () => {
  const files = await diffusersFiles(join(models, 'sd/model'));
  const { config, ...stored } = await files.network('unet');
  const unet = { ...stored, config: { ...(config as object), sample_size: [8, 12] } };
  const model = { ...files, network: async (name: string) => (name === 'unet' ? unet : files.network(name)) };
  const { width, height } = settingsOf(await loadComponents(model), { prompt: 'a fox' });
  expect({ width, height }).toEqual({ width: 96, height: 64 });
});

it('draws each prompt of a batch as it would alone', async () => {
  const prompts = ['a fox', 'the sea'];
  const together = await lcm.generate({ prompt: prompts, seed: 5, steps: 2 });
  for (const [i, prompt] of prompts.entries()) {
    const alone = await lcm.generate({ prompt, seed: 5 + i, steps: 2 });
    const difference = alone.images[0]!.data.map((value, at) =>
      Math.abs(value - together.images[i]!.data[at]!),
    );
    expect(Math.max(...difference)).toBeLessThanOrEqual(1);
  }
});

it('takes what the model was made for where the request says nothing', async () => {
  const { settings } = await teacher.generate({ prompt: 'a fox', steps: 2 });
  expect(settings).toMatchObject({ guidanceScale: 7.5, guidance: 'classifier-free', scheduler: 'ddim' });
  expect(settings.seeds[0]).toBeGreaterThanOrEqual(0);
});

it('stops between two steps, and works on afterwards', async () => {
  const stop = new AbortController();
  const seen: number[] = [];
  const work = async () => {
    const request = { prompt: 'a fox', seed: 1, steps: 4, signal: stop.signal };
    for await (const { step } of lcm.generate(request)) {
      seen.push(step);
      if (step === 2) stop.abort(new Error('enough'));
    }
  };
  await expect(work()).rejects.toThrow('enough');
  expect(seen).toEqual([1, 2]);
  expect((await lcm.generate({ prompt: 'a fox', seed: 1, steps: 1 })).images).toHaveLength(1);
});

it('lets go when nobody asks for more steps', async () => {
  for await (const { step } of lcm.generate({ prompt: 'a fox', seed: 1, steps: 4 })) if (step === 1) break;
  expect((await lcm.generate({ prompt: 'a fox', seed: 1, steps: 1 })).images).toHaveLength(1);
});

it('warns of what has no effect', async () => {
  const heard = async (
    pipeline: Pipeline,
    guidanceScale?: number,
    more: Partial<TextToImageRequest> = {},
  ) => {
    const warnings: string[] = [];
    await pipeline.generate({
      prompt: 'a fox',
      negativePrompt: 'blurry',
      steps: 1,
      guidanceScale,
      ...more,
      onWarning: (message) => warnings.push(message),
    });
    return warnings;
  };
  expect(await heard(lcm)).toEqual([expect.stringMatching(/the negative prompt has no effect: .* built in/)]);
  expect(await heard(teacher, 1)).toEqual([
    expect.stringMatching(/guidance scale 1 makes a single pass; raise it/),
  ]);
  expect(await heard(teacher, 2)).toEqual([]);
  const prompt = ['a (red:1.2) fox <lora:x:1>', 'a (red:1.2) fox (animal)'];
  expect(await heard(teacher, 2, { prompt, negativePrompt: '[blurry]' })).toEqual([
    'prompts are words here, as in diffusers: <lora:x:1>, (red:1.2), [blurry] would be instructions in some other programs; weights are not applied, and LoRAs are given beside the prompt',
  ]);
});

it.each([
  [{ steps: 51 }, /steps 51: .* a grid of 50 timesteps/],
  [{ steps: 1.5 }, /steps 1\.5: expected a whole number/],
  [{ width: 63 }, /width 63: .* multiples of 8, .* use 64/],
  [{ height: -8 }, /height -8: expected a whole number from 1 to 16384/],
  [{ width: Number.NaN }, /width NaN/],
  [{ guidanceScale: -2 }, /guidance scale -2: expected a number from 0/],
  [{ guidanceRescale: 2 }, /guidance rescale 2: expected a number from 0 to 1/],
  [{ seed: [1, 2] }, /2 seeds for 1 pictures/],
  [{ seed: 0.5 }, /seed 0\.5: expected a whole number/],
  [{ prompt: [] }, /the list of prompts is empty/],
  [{ numImages: 0 }, /number of images 0/],
  [{ negativePrompt: ['a', 'b'] }, /2 negative prompts for 1 pictures/],
  [{ clipSkip: 3 }, /clip skip 3: the text encoder has 2 layers/],
  [{ tileSize: 60 }, /tile size 60: expected a multiple of 8 from 64/],
  [{ timesteps: [10, 500] }, /timesteps 10, 500: expected integers in descending order/],
  [{ scheduler: 'ddim' as const, timesteps: [500] }, /timesteps .* are for the schedulers lcm and tcd/],
  [{ scheduler: 'euler' as const, eta: 0.5 }, /eta 0\.5: only the schedulers ddim and tcd take it/],
])('refuses %j', async (request, message) => {
  const work = lcm.generate({ prompt: 'a fox', ...request });
  await expect(work).rejects.toThrow(message);
  await expect(work).rejects.toBeInstanceOf(UsageError);
});

it.each(schedulerNames)('samples with %s', async (scheduler) => {
  const { latents } = await teacher.generate({
    prompt: 'a fox',
    seed: 1,
    steps: 4,
    guidanceScale: 2,
    scheduler,
  });
  expect(latents.data.every((value) => Number.isFinite(Number(value)))).toBe(true);
});

it('previews by the small autoencoder that was given', async () => {
  const taesd = join(models, 'sd/taesd');
  const previewing = await loadPipeline(join(models, 'lcm/model'), { previewVae: taesd });
  const drawing = await loadPipeline(join(models, 'lcm/model'), { vae: taesd });
  const request = { prompt: 'a fox', seed: 1, steps: 1 };
  for await (const { preview, decode } of previewing.generate(request)) {
    const [coarse, full] = [await preview(), await decode()];
    expect(coarse).not.toEqual(full);
    expect(coarse).toEqual((await drawing.generate(request)).images);
    expect(full).toEqual((await lcm.generate(request)).images);
  }
  await previewing.dispose();
  await drawing.dispose();
  const other = join(models, '../models/vae_kl_2x');
  await expect(loadPipeline(join(models, 'lcm/model'), { previewVae: other })).rejects.toThrow(
    /vae_kl_2x is for latents of .* the model's have 4 channels and 8 pixels/,
  );
});

it('keeps one network at a time with low memory, and draws the same', async () => {
  const names: string[] = [];
  const held = new Set<string>();
  const engine = createNodeEngine();
  const watched: Engine = {
    name: engine.name,
    dispose: () => engine.dispose(),
    async compile(program, options) {
      const executable = await engine.compile(program, options);
      const name = options!.name!;
      expect([...held]).toEqual([]);
      held.add(name);
      names.push(name);
      return {
        run: (inputs, runOptions) => executable.run(inputs, runOptions),
        async dispose() {
          held.delete(name);
          await executable.dispose();
        },
      };
    },
  };
  const files = await diffusersFiles(join(models, 'lcm/model'));
  const frugal = await createPipeline(files, watched, { lowMemory: true });
  const { images: start } = await lcm.generate({ prompt: 'the sea', seed: 2, steps: 1 });
  const request = { prompt: 'a fox', numImages: 2, seed: 1, steps: 2, image: start[0]!, strength: 0.5 };
  const { images, latents } = await frugal.generate(request);
  const usual = await lcm.generate(request);
  expect(latents.data).toEqual(usual.latents.data);
  expect(images).toEqual(usual.images);
  expect(names).toEqual(['text encoder', 'VAE encoder', 'UNet', 'VAE decoder']);
  await frugal.dispose();
});

/** An engine that writes down what is compiled, run and disposed of. */
function recording(): { readonly engine: Engine; readonly events: string[] } {
  const engine = createNodeEngine();
  const events: string[] = [];
  const recorded: Engine = {
    name: engine.name,
    dispose: () => engine.dispose(),
    async compile(program, options) {
      const name = options!.name!;
      events.push(`compile ${name}`);
      const executable = await engine.compile(program, options);
      return {
        run(inputs, runOptions) {
          events.push(`run ${name}`);
          return executable.run(inputs, runOptions);
        },
        async dispose() {
          events.push(`dispose ${name}`);
          await executable.dispose();
        },
      };
    },
  };
  return { engine: recorded, events };
}

it('encodes a prompt once, however many pictures of it are asked for, and draws the same to the bit', async () => {
  const { engine, events } = recording();
  const files = await diffusersFiles(join(models, 'sd/model'));
  const pipeline = await createPipeline(files, engine);
  const runs = () => events.filter((event) => event === 'run text encoder').length;
  const request = { prompt: ['a fox', 'the sea'], negativePrompt: 'rain', seed: 1, steps: 2 };
  const first = await pipeline.generate(request);
  const second = await pipeline.generate({ ...request, seed: 2 });
  expect(runs()).toBe(1);
  expect(await teacher.generate({ ...request, seed: 2 })).toMatchObject({ latents: second.latents });
  expect((await pipeline.generate(request)).images).toEqual(first.images);
  expect(runs()).toBe(1);
  await pipeline.generate({ ...request, prompt: 'a fox' });
  await pipeline.generate({ ...request, clipSkip: 1 });
  expect(runs()).toBe(3);
  await pipeline.dispose();
});

it('lets go of the text encoder before the UNet is loaded, when asked to', async () => {
  const { engine, events } = recording();
  const files = await diffusersFiles(join(models, 'lcm/model'));
  const pipeline = await createPipeline(files, engine, { releaseTextEncoders: true });
  const request = { prompt: 'a fox', seed: 1, steps: 1 };
  const { images } = await pipeline.generate(request);
  expect(images).toEqual((await lcm.generate(request)).images);
  const text = ['compile text encoder', 'run text encoder', 'dispose text encoder'];
  expect(events.slice(0, 3)).toEqual(text);
  const others = ['UNet', 'VAE decoder'].flatMap((name) => [`compile ${name}`, `run ${name}`]);
  expect(events.slice(3).toSorted()).toEqual(others.toSorted());
  await pipeline.generate({ ...request, seed: 2 });
  await pipeline.generate({ ...request, prompt: 'the sea' });
  expect(events.filter((event) => event.includes('text'))).toEqual([...text, ...text]);
  await pipeline.dispose();
});

it.each([
  ['that they can share equally', 4],
  ['of which one has to do a part alone', 3],
])('draws the same on replicas, in a batch %s', async (_, numImages) => {
  const engines: string[] = [];
  const watched = (name: string): Engine => {
    const engine = createNodeEngine({ threads: 1 });
    return {
      name,
      dispose: () => engine.dispose(),
      compile(program, options) {
        engines.push(`${name}: ${options!.name}`);
        return engine.compile(program, options);
      },
    };
  };
  const shared = await createPipeline(await diffusersFiles(join(models, 'lcm/model')), watched('alone'), {
    replicas: [watched('first'), watched('second')],
  });
  const request = { prompt: 'a fox', numImages, seed: 1, steps: 2 };
  const { images } = await shared.generate(request);
  const usual = await lcm.generate(request);
  for (const [i, { data }] of images.entries()) {
    const differences = data.map((value, at) => Math.abs(value - usual.images[i]!.data[at]!));
    expect(Math.max(...differences)).toBeLessThanOrEqual(1);
  }
  const unet = numImages % 2 === 0 ? ['first: UNet', 'second: UNet'] : ['alone: UNet'];
  expect(engines.filter((name) => name.endsWith('UNet'))).toEqual(unet);
  expect(engines.filter((name) => name.endsWith('VAE decoder'))).toEqual([
    'first: VAE decoder',
    'second: VAE decoder',
  ]);
  await shared.dispose();
});

it('decodes in tiles when asked to, or when one piece would not fit', async () => {
  const request = { prompt: 'a fox', seed: 1, steps: 1, width: 1024, height: 64 };
  const whole = await lcm.generate(request);
  const tiled = await lcm.generate({ ...request, tileSize: 512 });
  expect(tiled.latents.data).toEqual(whole.latents.data);
  expect([whole.settings.tileSize, tiled.settings.tileSize]).toEqual([undefined, 512]);
  expect(tiled.images).not.toEqual(whole.images);

  const small = await loadPipeline(join(models, 'lcm/model'), { memoryLimit: 18e6 });
  const warnings: string[] = [];
  const { images } = await small.generate({ ...request, onWarning: (message) => warnings.push(message) });
  expect(warnings).toEqual([
    expect.stringMatching(/decoded in tiles of 512 pixels/),
    expect.stringMatching(/made for pictures of 64×64; at 1024×64 it may repeat/),
  ]);
  expect(images).toEqual(tiled.images);
  await small.dispose();
});

it('stops in the middle of a run', async () => {
  // A picture whose decoding takes its time; the signal comes while it runs.
  const stop = new AbortController();
  const request = { prompt: 'a fox', seed: 1, steps: 1, width: 512, height: 512, signal: stop.signal };
  const work = async () => {
    for await (const _ of lcm.generate(request)) setTimeout(() => stop.abort(new Error('enough')), 1);
  };
  await expect(work()).rejects.toThrow('enough');
  expect((await lcm.generate({ prompt: 'a fox', seed: 1, steps: 1 })).images).toHaveLength(1);
});
