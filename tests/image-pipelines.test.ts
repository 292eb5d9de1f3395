/** Image to image and inpainting beyond the numbers of diffusers: both kinds of UNet, batches, sizes, refusals. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32Data, type HostTensor } from '../src/graph/host-tensor.ts';
import {
  createImage,
  createNodeEngine,
  createPipeline,
  diffusersFiles,
  type Image,
  type Pipeline,
  UsageError,
} from '../src/index.ts';
import { asInpaintingModel } from './inpainting-unet.ts';

const models = fileURLToPath(new URL('./fixtures/golden/pipelines', import.meta.url));
const engine = createNodeEngine({ threads: 1 });
let lcm: Pipeline;
let teacher: Pipeline;
beforeAll(async () => {
  lcm = await createPipeline(await diffusersFiles(join(models, 'lcm/model')), engine);
  teacher = await createPipeline(await diffusersFiles(join(models, 'sd/model')), engine);
});
afterAll(() => engine.dispose());

const image = painted(64, 64, (x, y) => [4 * x, 4 * y, 128]);
const leftHalf = painted(64, 64, (x) => (x < 32 ? [255, 255, 255] : [0, 0, 0]));

function painted(width: number, height: number, colour: (x: number, y: number) => number[]): Image {
  const picture = createImage(width, height, 3);
  for (let i = 0; i < width * height; i++) picture.data.set(colour(i % width, Math.floor(i / width)), 3 * i);
  return picture;
}

function largestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Array.from(a).reduce((largest, value, i) => Math.max(largest, Math.abs(value - b[i]!)), 0);
}

it('draws each picture of a batch as it would alone', async () => {
  for (const more of [{ image }, { image, mask: leftHalf, strength: 0.9 }]) {
    const together = await lcm.generate({ prompt: 'a fox', seed: 5, numImages: 2, steps: 2, ...more });
    const alone = await lcm.generate({ prompt: 'a fox', seed: 6, steps: 2, ...more });
    expect(largestDifference(together.images[1]!.data, alone.images[0]!.data)).toBeLessThanOrEqual(1);
    expect(largestDifference(together.images[0]!.data, alone.images[0]!.data)).toBeGreaterThan(1);
  }
});

it('keeps the latents of what the mask leaves black', async () => {
  const half = (prompt: string) =>
    teacher.generate({ prompt, seed: 3, steps: 3, image, mask: leftHalf, guidanceScale: 3 });
  const [fox, sea] = [(await half('a fox')).latents, (await half('the sea')).latents];
  const columns = (latents: HostTensor, kept: boolean) =>
    float32Data(latents).filter((_, i) => i % 8 >= 4 === kept);
  expect(columns(fox, true)).toEqual(columns(sea, true));
  expect(largestDifference(columns(fox, false), columns(sea, false))).toBeGreaterThan(0.01);
});

it('takes its size from the picture, unless another is asked for', async () => {
  const odd = painted(70, 79, (x) => [x, x, x]);
  const { images, settings } = await lcm.generate({ prompt: 'a fox', seed: 1, steps: 1, image: odd });
  expect(settings).toMatchObject({ width: 64, height: 72, strength: 0.8 });
  expect([images[0]!.width, images[0]!.height]).toEqual([64, 72]);
  const wide = await lcm.generate({ prompt: 'a fox', seed: 1, steps: 1, image: odd, width: 96, height: 64 });
  expect([wide.images[0]!.width, wide.images[0]!.height]).toEqual([96, 64]);
});

it('spreads steps over a share of the grid, or leaves out the head of the schedule, by the kind of model', async () => {
  const visited = async (pipeline: Pipeline) => {
    const timesteps: number[] = [];
    const request = { prompt: 'a fox', seed: 1, steps: 4, strength: 0.5, scheduler: 'lcm', image } as const;
    for await (const { timestep, step, steps } of pipeline.generate(request))
      timesteps.push(timestep, step, steps);
    return timesteps;
  };
  expect(await visited(lcm)).toEqual([499, 1, 4, 379, 2, 4, 259, 3, 4, 139, 4, 4]);
  expect(await visited(teacher)).toEqual([499, 1, 2, 259, 2, 2]);
});

it('leaves out whole steps, of which some samplers make two passes', async () => {
  const seen: (readonly number[])[] = [];
  const request = { prompt: 'a fox', seed: 1, steps: 4, strength: 0.5, scheduler: 'heun', image } as const;
  for await (const { timestep, step, steps, passesPerStep } of teacher.generate(request))
    seen.push([timestep, step, steps, passesPerStep]);
  expect(seen).toEqual([
    [251, 1, 3, 2],
    [1, 2, 3, 2],
    [1, 3, 3, 2],
  ]);
});

it.each([
  [{ image, strength: 0 }, /strength 0: expected a number above 0, up to 1/],
  [{ image, strength: 1.5 }, /strength 1\.5: expected a number above 0/],
  [{ image, strength: Number.NaN }, /strength NaN/],
  [{ strength: 0.5 }, /there is no image to begin with/],
  [{ mask: leftHalf }, /a mask needs an image/],
  [{ image, mask: createImage(64, 72, 3) }, /the mask is 64×72, the image 64×64/],
  [{ image, steps: 20, strength: 0.1 }, /steps 20: .* of which strength 0\.1 leaves 5/],
  [{ image: createImage(64, 7, 3) }, /the image's height is 7; the model needs at least 8/],
])('refuses what does not go together, case %#', async (request, message) => {
  const work = lcm.generate({ prompt: 'a fox', ...request });
  await expect(work).rejects.toThrow(message);
  await expect(work).rejects.toBeInstanceOf(UsageError);
});

it('refuses a strength that leaves no step', async () => {
  const work = teacher.generate({ prompt: 'a fox', image, steps: 4, strength: 0.2 });
  await expect(work).rejects.toThrow(/strength 0\.2: it leaves none of the 4 steps; use at least 0\.25/);
});

describe('a UNet made for inpainting', () => {
  const inpaintingPipeline = async (mask: number) =>
    createPipeline(await asInpaintingModel(await diffusersFiles(join(models, 'sd/model')), mask), engine);
  const request = { prompt: 'a fox', seed: 4, steps: 3, guidanceScale: 2 };

  it('begins with the noise of text to image at strength 1', async () => {
    const blind = await inpaintingPipeline(0);
    const { latents } = await blind.generate({ ...request, image, mask: leftHalf });
    const plain = await teacher.generate(request);
    expect(largestDifference(float32Data(latents), float32Data(plain.latents))).toBeLessThan(1e-4);
  });

  it('sees the mask', async () => {
    const pipeline = await inpaintingPipeline(0.5);
    const half = await pipeline.generate({ ...request, image, mask: leftHalf });
    const none = await pipeline.generate({ ...request, image, mask: createImage(64, 64, 3) });
    expect(largestDifference(float32Data(half.latents), float32Data(none.latents))).toBeGreaterThan(0.01);
    await expect(pipeline.generate(request)).rejects.toThrow(
      /is an inpainting model .*: give an image and a mask/,
    );
  });
});
