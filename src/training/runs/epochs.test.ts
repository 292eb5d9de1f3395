import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCanvas } from '@napi-rs/canvas';
import { expect, it } from 'vitest';
import { SettingError } from '../../errors.ts';
import { autoencoderTraining } from './train-autoencoder.ts';

it('are counted in the pictures of the folder that are trained on', async () => {
  const path = await mkdtemp(join(tmpdir(), 'epochs-'));
  const picture = createCanvas(8, 8).toBuffer('image/png');
  for (let i = 0; i < 40; i++) await writeFile(join(path, `${i}.png`), picture);
  const data = { kind: 'folder', path };
  // Two of the forty are kept for tests.
  const config = await autoencoderTraining.configure({ data, epochs: 1.5, batch: 4, accumulate: 2 });
  expect(config.steps).toBe(Math.ceil((1.5 * 38) / 8));
  expect((await autoencoderTraining.configure({ data, steps: 7 })).steps).toBe(7);
  await rm(path, { recursive: true });
  const endless = autoencoderTraining.configure({ epochs: 1 });
  await expect(endless).rejects.toBeInstanceOf(SettingError);
  await expect(endless).rejects.toMatchObject({
    setting: 'epochs',
    message: expect.stringContaining('postcards have no end'),
  });
});
