/** What 8-bit weights cost in quality: the bounds that docs/performance.md states. */
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { psnr } from '../src/evaluation/picture-measures.ts';
import { type LoadOptions, loadPipeline, type PictureSettings } from '../src/index.ts';

const fixture = fileURLToPath(new URL('./fixtures/golden/pipelines/lcm/model', import.meta.url));
const prompts = ['a red-roofed cottage by a lake', 'a lighthouse at night', 'snowy mountains'];

/** Of every picture, in dB. */
const LEAST_PSNR = 45;

/** Pictures of the prompts, for 1 and for 4 steps. */
async function draw(model: string | undefined, options: LoadOptions) {
  await using pipeline = await loadPipeline(model, options);
  const one = await pipeline.generate({ prompt: prompts, seed: 1, steps: 1 });
  const four = await pipeline.generate({ prompt: prompts, seed: 1, steps: 4 });
  return [...one.images, ...four.images];
}

it.each([
  ['the embedded model', 'int8', undefined],
  ['the embedded model', 'int8-dynamic', undefined],
  ['a tiny model with random weights', 'int8', fixture],
  ['a tiny model with random weights', 'int8-dynamic', fixture],
] as const)('%s draws nearly the same in %s', async (_, quantize, model) => {
  const [plain, rounded] = [await draw(model, {}), await draw(model, { quantize })];
  const decibels = rounded.map((image, i) => psnr(image, plain[i]!));
  for (const each of decibels) {
    expect(each).toBeGreaterThan(LEAST_PSNR);
    expect(each).toBeLessThan(90);
  }
  const settings = (await rounded[0]!.settings()) as PictureSettings;
  expect(settings.quantize).toBe(quantize);
  expect((await plain[0]!.settings())!.quantize).toBeUndefined();
});
