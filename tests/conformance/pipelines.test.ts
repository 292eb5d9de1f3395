/** Whole pipelines against diffusers: the latents and the pictures that the same prompt, seed and settings give. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { decodePng } from '../../src/images/png.ts';
import { loadPipeline } from '../../src/pipelines/node/load.ts';
import type { Pipeline } from '../../src/pipelines/pipeline.ts';
import type { SchedulerName } from '../../src/pipelines/scheduler.ts';
import type { TextToImageRequest } from '../../src/pipelines/settings.ts';
import { Generator } from '../../src/random/generator.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';

/** One call of a diffusers pipeline. */
interface Run {
  /** One seed: one generator for the whole batch; a list: one for each picture. */
  readonly seeds: number | readonly number[];
  readonly call: {
    readonly prompt: string | readonly string[];
    readonly negative_prompt?: string | readonly string[];
    readonly num_images_per_prompt?: number;
    readonly num_inference_steps: number | null;
    readonly original_inference_steps?: number;
    readonly timesteps?: readonly number[];
    readonly guidance_scale?: number;
    readonly guidance_rescale?: number;
    readonly eta?: number;
    readonly clip_skip?: number;
    readonly height?: number;
    readonly width?: number;
  };
  readonly timesteps: readonly number[];
  readonly scheduler: string;
}

const suites = [
  { name: 'pipelines/lcm/txt2img', model: 'pipelines/lcm/model' },
  { name: 'pipelines/sd/teacher_ddim', model: 'pipelines/sd/model' },
  { name: 'pipelines/sd_v/runs', model: 'pipelines/sd_v/model' },
];

const schedulers: Readonly<Record<string, SchedulerName>> = { LCMScheduler: 'lcm', DDIMScheduler: 'ddim' };

for (const { name, model } of suites) {
  describeGolden(name, (folder) => {
    const runs = readJson<Record<string, Run>>(folder, 'runs.json');
    const outputs = readTensors(folder, 'outputs.safetensors');
    let pipeline: Pipeline;
    beforeAll(async () => {
      pipeline = await loadPipeline(join(folder.slice(0, -name.length), model));
    });
    afterAll(() => pipeline.dispose());

    describe.each(Object.entries(runs))('%s', (run, { seeds, call, timesteps, scheduler }) => {
      it('gives the latents and pictures of diffusers', async () => {
        const visited: number[] = [];
        const { images, latents } = await pipeline.run(request(seeds, call, schedulers[scheduler]!), (step) =>
          visited.push(step.timestep),
        );
        expect(visited).toEqual(timesteps);
        const expected = outputs.get(`${run}/latents`);
        expect(latents.shape).toEqual(expected?.shape);
        expectClose(float32Data(latents), floats(outputs, `${run}/latents`), 1e-4, 'relative');
        for (const [i, image] of images.entries()) {
          const stored = readPicture(folder, `${run}_${i}.png`);
          if (!stored) continue;
          const reference = await decodePng(stored);
          expect([image.width, image.height]).toEqual([reference.width, reference.height]);
          expect(psnr(image.data, reference.data)).toBeGreaterThanOrEqual(50);
        }
      });
    });
  });
}

function request(seeds: Run['seeds'], call: Run['call'], scheduler: SchedulerName): TextToImageRequest {
  return {
    prompt: call.prompt,
    negativePrompt: call.negative_prompt,
    numImages: call.num_images_per_prompt,
    generator: typeof seeds === 'number' ? new Generator(seeds) : seeds.map((seed) => new Generator(seed)),
    steps: call.num_inference_steps ?? undefined,
    originalSteps: call.original_inference_steps,
    timesteps: call.timesteps,
    guidanceScale: call.guidance_scale,
    guidanceRescale: call.guidance_rescale,
    eta: call.eta,
    clipSkip: call.clip_skip,
    width: call.width,
    height: call.height,
    scheduler,
  };
}

/** Not every run has its pictures stored. */
function readPicture(folder: string, name: string): Uint8Array | undefined {
  try {
    return readFileSync(join(folder, 'png', name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

/** Peak signal-to-noise ratio of 8-bit pictures, in dB. */
function psnr(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  let squares = 0;
  for (let i = 0; i < a.length; i++) squares += (a[i]! - b[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.length) / squares);
}
