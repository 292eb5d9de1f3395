/** Pictures that are kept for tests: their loss on the averaged weights, and whether what is drawn was trained on. */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { createImage, type Image } from '../../src/images/image.ts';
import { openImage } from '../../src/images/node/open-image.ts';
import { encodePng } from '../../src/images/png.ts';
import { consistencyTraining } from '../../src/training/runs/distill.ts';
import { type RecipeKind, train } from '../../src/training/runs/recipe.ts';
import type { NearPicture } from '../../src/training/runs/run.ts';
import { autoencoderTraining } from '../../src/training/runs/train-autoencoder.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';

const model = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'validation-'));
const pictures = join(folder, 'pictures');
const engine = createNodeEngine({ threads: 1 });
/** The 20th of 22 is kept for tests. */
const COUNT = 22;
beforeAll(async () => {
  mkdirSync(pictures);
  for (let i = 0; i < COUNT; i++) {
    const data = Uint8Array.from({ length: 16 * 16 * 3 }, (_, at) => (at * (i + 1) * 7) % 256);
    const name = String(i).padStart(2, '0');
    writeFileSync(join(pictures, `${name}.png`), await encodePng(createImage(16, 16, 3, data)));
    writeFileSync(join(pictures, `${name}.txt`), `picture ${i}`);
  }
});
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const tiny = { block_out_channels: [4, 4, 4], norm_num_groups: 2, latent_channels: 2 };

const base = {
  data: { kind: 'folder', path: pictures, resolution: 16 },
  batch: 2,
  cadence: { logEvery: 2, checkpointEverySteps: 1, sampleEvery: 1, validationBatches: 3 },
};

interface Record {
  readonly step: number;
  readonly validation_loss?: number;
}

function validated(directory: string): Record[] {
  const lines = readFileSync(join(directory, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
  return lines.map((line) => JSON.parse(line) as Record).filter((record) => 'validation_loss' in record);
}

it.each([
  ['diffusion', diffusionTraining, { vae: join(model, 'vae'), initial: model }],
  ['distillation', consistencyTraining, { teacher: model, timeCondProjDim: 8 }],
  ['an autoencoder', autoencoderTraining, { model: tiny }],
] as const)(
  '%s tells its loss on pictures that are not trained on, once for a step',
  async (name, kind, given) => {
    const directory = join(folder, name);
    const run = async (steps: number) => {
      const of = kind as unknown as RecipeKind<Awaited<ReturnType<typeof kind.configure>>>;
      const config = await of.configure({ ...base, ...given, steps });
      return train(of, config, { engine, directory });
    };
    await run(2);
    const first = validated(directory);
    expect(first.map(({ step }) => step)).toEqual([1, 2]);
    for (const { validation_loss: loss } of first) expect(loss).toBeGreaterThan(0);
    await run(3);
    const all = validated(directory);
    expect(all.map(({ step }) => step)).toEqual([1, 2, 3]);
    expect(all.slice(0, 2)).toEqual(first);
  },
);

it('tells none where none is asked for', async () => {
  const directory = join(folder, 'none');
  const cadence = { ...base.cadence, validationBatches: 0 };
  const config = await autoencoderTraining.configure({ ...base, model: tiny, cadence, steps: 1 });
  await train(autoencoderTraining, config, { engine, directory });
  expect(validated(directory)).toEqual([]);
});

it('finds the pictures trained on that are nearest to what is drawn', async () => {
  const config = await diffusionTraining.configure({
    ...base,
    vae: join(model, 'vae'),
    initial: model,
    steps: 12,
    cadence: { ...base.cadence, sampleEvery: 12 },
  });
  const wanted: Image[] = [];
  for (const i of [3, 17]) wanted.push(await openImage(join(pictures, `${String(i).padStart(2, '0')}.png`)));
  let found: NearPicture[] = [];
  await train(diffusionTraining, config, {
    engine,
    directory: join(folder, 'nearest'),
    async onSample({ sheet }) {
      if (sheet.kind === 'drawn') found = await sheet.nearest!(wanted);
    },
  });
  // 24 examples were seen: all 21 pictures, so their copies are found.
  expect(found.map(({ distance }) => distance)).toEqual([expect.closeTo(0, 2), expect.closeTo(0, 2)]);
  for (const [i, { image }] of found.entries()) {
    expect(Buffer.from(image.data).equals(wanted[i]!.data)).toBe(true);
  }
});
