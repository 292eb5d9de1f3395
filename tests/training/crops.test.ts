/** An autoencoder trained on random squares of its pictures, and then on whole ones. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import type { TrainingEvent } from '../../src/training/loop/events.ts';
import { plan, train } from '../../src/training/runs/recipe.ts';
import { autoencoderTraining } from '../../src/training/runs/train-autoencoder.ts';

const folder = mkdtempSync(join(tmpdir(), 'crops-'));
const engine = createNodeEngine({ threads: 1 });
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});
const short = {
  steps: 2,
  batch: 2,
  model: { block_out_channels: [4, 4, 4], norm_num_groups: 2, latent_channels: 2 },
  cadence: { logEvery: 1, sampleEvery: 0 },
};

it('crops cost what pictures of their size cost, and training goes on with whole ones', async () => {
  const configure = (given: object) => autoencoderTraining.configure({ ...short, ...given });
  const cost = async (given: object) =>
    (await plan(autoencoderTraining, await configure(given))).flopsPerPicture;
  expect((await cost({ cropSize: 16 })) / (await cost({}))).toBeCloseTo(1 / 16, 2);

  const messages: string[] = [];
  const onProgress = (event: TrainingEvent) => {
    if (event.type === 'phase') messages.push(event.message);
  };
  const first = join(folder, 'crops');
  const config = await configure({ cropSize: 16 });
  const { modelDirectory } = await train(autoencoderTraining, config, {
    engine,
    directory: first,
    onProgress,
  });
  // It is tried on whole pictures, whatever it was trained on.
  expect(messages.at(-1)).toMatch(/^reconstructions of 512 test pictures: PSNR/);
  const whole = await configure({ initial: modelDirectory, steps: 1 });
  const then = await train(autoencoderTraining, whole, { engine, directory: join(folder, 'whole') });
  expect(then.completed).toBe(true);
});

it('crops larger than the pictures, or no multiple of a latent, are refused before the first step', async () => {
  const planned = async (given: object) =>
    plan(autoencoderTraining, await autoencoderTraining.configure({ ...short, ...given }));
  await expect(planned({ cropSize: 128 })).rejects.toThrow(
    'the setting "cropSize" is 128; expected at most the 64 pixels along the sides of the pictures to train on',
  );
  await expect(planned({ cropSize: 30 })).rejects.toThrow(
    /^the pictures to train on have 30×30 pixels; expected multiples of 4/,
  );
  await expect(planned({ cropSize: 16, data: { size: 66 } })).rejects.toThrow(/have 66×66 pixels/);
});
