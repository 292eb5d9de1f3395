/**
 * Image to image and inpainting with SDXL, beyond the numbers of diffusers: the order of the draws, what is kept, what
 * the UNet is told, and the defaults.
 */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { float32Data, type HostTensor } from '../src/graph/host-tensor.ts';
import {
  createImage,
  createNodeEngine,
  createPipeline,
  diffusersFiles,
  type GenerationRequest,
  Generator,
  type Pipeline,
} from '../src/index.ts';
import { asInpaintingModel } from './inpainting-unet.ts';

const pipelines = fileURLToPath(new URL('./fixtures/golden/pipelines', import.meta.url));
const folder = join(pipelines, 'sdxl/model');
const engine = createNodeEngine({ threads: 1 });
let sdxl: Pipeline;
beforeAll(async () => {
  sdxl = await createPipeline(await diffusersFiles(folder), engine);
});
afterAll(() => engine.dispose());

const picture = (colour: (x: number, y: number) => number[]) => {
  const image = createImage(64, 64, 3);
  for (let i = 0; i < 64 * 64; i++) image.data.set(colour(i % 64, Math.floor(i / 64)), 3 * i);
  return image;
};
const image = picture((x, y) => [4 * x, 4 * y, 128]);
const white = picture(() => [255, 255, 255]);
const leftHalf = picture((x) => (x < 32 ? [255, 255, 255] : [0, 0, 0]));

/** torch's generator with some of its draws of normals, counted from 1, thrown away. */
class Skipping extends Generator {
  #draw = 0;
  readonly #skipped: readonly number[];

  constructor(seed: number, ...skipped: number[]) {
    super(seed);
    this.#skipped = skipped;
  }

  override normal(length: number): Float32Array<ArrayBuffer> {
    this.#draw++;
    while (this.#skipped.includes(this.#draw)) {
      super.normal(length);
      this.#draw++;
    }
    return super.normal(length);
  }
}

const drawn = async (pipeline: Pipeline, request: Omit<GenerationRequest, 'prompt'> & { prompt?: string }) =>
  (await pipeline.generate({ prompt: 'a fox', steps: 3, guidanceScale: 2, ...request })).latents;

function expectNear(a: HostTensor, b: HostTensor): void {
  expect(largestDifference(a, b)).toBeLessThan(1e-4);
}

function expectFar(a: HostTensor, b: HostTensor): void {
  expect(largestDifference(a, b)).toBeGreaterThan(1e-3);
}

function largestDifference(a: HostTensor, b: HostTensor): number {
  expect(a.shape).toEqual(b.shape);
  return Math.max(...float32Data(a).map((value, i) => Math.abs(value - float32Data(b)[i]!)));
}

it('has the defaults of the pipelines for SDXL', async () => {
  const settings = async (request: Partial<GenerationRequest>) =>
    (await sdxl.generate({ prompt: 'a fox', seed: 1, steps: 10, scheduler: 'euler', ...request })).settings;
  expect(await settings({})).toMatchObject({ strength: undefined, guidanceScale: 5 });
  expect(await settings({ image })).toMatchObject({ strength: 0.3, guidanceScale: 5 });
  expect(await settings({ image, mask: white })).toMatchObject({ strength: 0.9999, guidanceScale: 7.5 });
});

it('leaves out the head of the schedule', async () => {
  const visited = async (request: Partial<GenerationRequest>) => {
    const timesteps: number[] = [];
    const wanted = { prompt: 'a fox', seed: 1, steps: 4, scheduler: 'lcm', image, ...request } as const;
    for await (const { timestep } of sdxl.generate(wanted)) timesteps.push(timestep);
    return timesteps;
  };
  expect(await visited({ strength: 0.5 })).toEqual([499, 259]);
  expect(await visited({ mask: white })).toEqual([759, 499, 259]); // 0.9999 of four steps is three
  expect(await visited({ mask: white, strength: 1 })).toEqual([999, 759, 499, 259]);
});

describe.each(['lcm', 'euler', 'ddim'] as const)('the draws, with the sampler %s', (scheduler) => {
  it('inpainting everything at strength 1 is text to image, after the posterior of the picture', async () => {
    const inpainted = await drawn(sdxl, {
      scheduler,
      image,
      mask: white,
      strength: 1,
      generator: new Generator(7),
    });
    // First the posterior, then the noise, then the posterior of the masked picture.
    expectNear(inpainted, await drawn(sdxl, { scheduler, generator: new Skipping(7, 1, 3) }));
    expectFar(inpainted, await drawn(sdxl, { scheduler, generator: new Generator(7) }));
  });

  it('inpainting everything from the picture is image to image, but for one draw', async () => {
    const strength = 0.7;
    const inpainted = await drawn(sdxl, {
      scheduler,
      image,
      mask: white,
      strength,
      generator: new Generator(7),
    });
    const redrawn = await drawn(sdxl, { scheduler, image, strength, generator: new Skipping(7, 3) });
    expectNear(inpainted, redrawn);
  });
});

it('keeps the latents of what the mask leaves black', async () => {
  const half = (prompt: string) => drawn(sdxl, { prompt, seed: 3, image, mask: leftHalf });
  const columns = (latents: HostTensor, kept: boolean) =>
    float32Data(latents).filter((_, i) => i % 8 >= 4 === kept);
  const [fox, sea] = [await half('a fox'), await half('the sea')];
  expect(columns(fox, true)).toEqual(columns(sea, true));
  expect(columns(fox, false)).not.toEqual(columns(sea, false));
});

it('draws each picture of a batch as it would alone', async () => {
  for (const request of [
    { image, strength: 0.7 },
    { image, mask: leftHalf, strength: 0.7 },
  ]) {
    const together = await drawn(sdxl, { ...request, seed: 5, numImages: 2 });
    const alone = await drawn(sdxl, { ...request, seed: 6 });
    const second = { ...together, shape: alone.shape, data: float32Data(together).slice(4 * 8 * 8) };
    expectNear(second, alone);
  }
});

it('is told the size of the picture, unless another was asked for', async () => {
  const request = { seed: 4, image, strength: 0.7 };
  const [plain, same, other] = [
    await drawn(sdxl, request),
    await drawn(sdxl, { ...request, originalSize: [64, 64], targetSize: [64, 64], cropTopLeft: [0, 0] }),
    await drawn(sdxl, { ...request, originalSize: [128, 96], cropTopLeft: [16, 0] }),
  ];
  expectNear(plain, same);
  expectFar(plain, other);
});

it('takes zeros where there is no negative prompt, and encodes an empty one', async () => {
  const request = { seed: 4, image, strength: 0.7 };
  const [none, empty, other] = [
    await drawn(sdxl, request),
    await drawn(sdxl, { ...request, negativePrompt: '' }),
    await drawn(sdxl, { ...request, negativePrompt: 'blurry' }),
  ];
  expectFar(none, empty);
  expectFar(empty, other);
});

describe('with a UNet made for inpainting', () => {
  it('begins with noise at strength 1, and with the picture below it', async () => {
    const blind = await createPipeline(await asInpaintingModel(await diffusersFiles(folder), 0), engine);
    expect(blind.model.pipelineClass).toBe('StableDiffusionXLInpaintPipeline');
    const inpainted = await drawn(blind, { image, mask: white, strength: 1, generator: new Generator(7) });
    // The noise comes first, then the posterior of the masked picture.
    expectNear(inpainted, await drawn(sdxl, { generator: new Skipping(7, 2) }));
    const from = { image, strength: 0.7 };
    const begun = await drawn(blind, { ...from, mask: white, generator: new Generator(7) });
    expectNear(begun, await drawn(sdxl, { ...from, generator: new Skipping(7, 3) }));
  });

  it('sees the mask', async () => {
    const seeing = await createPipeline(await asInpaintingModel(await diffusersFiles(folder), 0.5), engine);
    const request = { image, strength: 1, seed: 7 };
    expectFar(
      await drawn(seeing, { ...request, mask: leftHalf }),
      await drawn(seeing, { ...request, mask: picture(() => [0, 0, 0]) }),
    );
  });
});

it('refuses the refiner, before anything is read', async () => {
  const files = await diffusersFiles(folder);
  const refiner = { ...files, options: { ...files.options, requires_aesthetics_score: true } };
  await expect(createPipeline(refiner, engine)).rejects.toThrow(
    /is SDXL's refiner .* not supported; use the base model/,
  );
});
