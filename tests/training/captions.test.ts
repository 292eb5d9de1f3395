/** Trainings with captions, and without. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createImage } from '../../src/images/image.ts';
import { encodePng } from '../../src/images/png.ts';
import { diffusionRunConfig } from '../../src/training/runs/diffusion-config.ts';
import { plan } from '../../src/training/runs/recipe.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';

const vae = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model/vae', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'captions-'));
beforeAll(async () => {
  for (let i = 0; i < 3; i++)
    writeFileSync(join(folder, `${i}.png`), await encodePng(createImage(64, 64, 3)));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What is said while a training is opened. */
async function said(data: object): Promise<string[]> {
  const messages: string[] = [];
  const config = diffusionRunConfig({ vae, batch: 1, data: { path: folder, ...data } });
  await plan(diffusionTraining, config, {
    onProgress: (event) => {
      if ('message' in event && !('done' in event)) messages.push(`${event.type}: ${event.message}`);
    },
  });
  return messages.map((message) => message.replaceAll(folder, 'pictures'));
}

it('a folder without any caption is trained on only when that is asked for', async () => {
  await expect(said({})).rejects.toThrow(
    /has no captions: expected a text beside each.*ask for it with --unconditional, "unconditional": true in the settings of the data/,
  );
  expect(await said({ unconditional: true })).toContain(
    'phase: pictures has no captions: a model without words is trained',
  );
  writeFileSync(join(folder, '1.txt'), 'a cat');
  expect((await said({})).filter((message) => message.startsWith('warning'))).toEqual([
    expect.stringMatching(
      /^warning: 1 of 3 pictures to train on have a caption; expected a text beside each/,
    ),
  ]);
});
