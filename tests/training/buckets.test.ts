/** Trainings on pictures of several forms, in batches of one size each. */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { createImage } from '../../src/images/image.ts';
import { encodePng } from '../../src/images/png.ts';
import { plan, train } from '../../src/training/runs/recipe.ts';
import { autoencoderTraining } from '../../src/training/runs/train-autoencoder.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';

const model = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'buckets-'));
const pictures = join(folder, 'pictures');
const engine = createNodeEngine({ threads: 1 });
beforeAll(async () => {
  mkdirSync(pictures);
  for (let i = 0; i < 22; i++) {
    const [width, height] = i % 2 === 0 ? [32, 32] : [64, 16];
    const data = Uint8Array.from({ length: width * height * 3 }, (_, at) => (at * (i + 1) * 7) % 256);
    const name = String(i).padStart(2, '0');
    writeFileSync(join(pictures, `${name}.png`), await encodePng(createImage(width, height, 3, data)));
    writeFileSync(join(pictures, `${name}.txt`), `picture ${i}`);
  }
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const base = {
  data: { kind: 'folder', path: pictures, resolution: 32, buckets: 16, crop: 'random', flip: true },
  batch: 2,
  cadence: { logEvery: 1, checkpointEverySteps: 1, sampleEvery: 2 },
};

it('diffusion learns from both sizes, keeps their latents apart, and goes on bit for bit', async () => {
  const given = { ...base, vae: join(model, 'vae'), initial: model };
  const run = async (directory: string, steps: number) => {
    const config = await diffusionTraining.configure({ ...given, steps, latents: { sample: true } });
    await train(diffusionTraining, config, { engine, directory: join(folder, directory) });
  };
  await run('whole', 4);
  await run('broken', 2);
  await run('broken', 4);
  const checkpoint = (directory: string) =>
    readFileSync(join(folder, directory, 'checkpoint-00000004/trainer.safetensors'));
  expect(checkpoint('broken').equals(checkpoint('whole'))).toBe(true);
  expect(readdirSync(join(folder, 'whole'))).toEqual(
    expect.arrayContaining(['latents-32x32.safetensors', 'latents-64x16.safetensors', 'model']),
  );
  const records = readFileSync(join(folder, 'whole/metrics.jsonl'), 'utf8');
  expect(records).toMatch(/validation_loss/);
});

it('so does an autoencoder', async () => {
  const tiny = { block_out_channels: [4, 4, 4], norm_num_groups: 2, latent_channels: 2 };
  const config = await autoencoderTraining.configure({ ...base, model: tiny, steps: 4 });
  const { completed } = await train(autoencoderTraining, config, { engine, directory: join(folder, 'ae') });
  expect(completed).toBe(true);
});

it('sizes that a model does not divide are refused before the first step', async () => {
  const data = { ...base.data, buckets: 6 };
  const config = await diffusionTraining.configure({
    ...base,
    vae: join(model, 'vae'),
    initial: model,
    data,
  });
  await expect(plan(diffusionTraining, config)).rejects.toThrow(/expected multiples of \d+/);
});
