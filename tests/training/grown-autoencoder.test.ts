/** An autoencoder that grows by a level: what it is before it learns, and that it learns. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { openAutoencoder } from '../../src/components/node/open-model.ts';
import { createContext } from '../../src/datasets/node/canvas.ts';
import { postcards, renderPostcard, renderTensor } from '../../src/datasets/postcards/render.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data, hostTensor } from '../../src/graph/host-tensor.ts';
import { createImage } from '../../src/images/image.ts';
import { encodePng } from '../../src/images/png.ts';
import { autoencoderKLConfig, decode, encode } from '../../src/models/autoencoder-kl.ts';
import { diagonalGaussian } from '../../src/models/diagonal-gaussian.ts';
import { train } from '../../src/training/runs/recipe.ts';
import { autoencoderTraining } from '../../src/training/runs/train-autoencoder.ts';
import { run } from '../conformance/model-cases.ts';

const embedded = fileURLToPath(new URL('../../models/postcards', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'grown-'));
const engine = createNodeEngine({ threads: 1 });
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});

const COUNT = 4;
const cards = (size: number) =>
  hostTensor(
    renderTensor(createContext(size, size), postcards([...Array(COUNT).keys()], { split: 'test', size })),
    [COUNT, 3, size, size],
  );

// Few pictures: a training ends by trying what it has learned on all of them.
const data = { kind: 'folder', path: join(folder, 'pictures'), resolution: 128 };
mkdirSync(data.path);
for (const [i, card] of postcards([...Array(COUNT).keys()], { split: 'train', size: 128 }).entries()) {
  const image = createImage(128, 128, 3, renderPostcard(createContext(128, 128), card));
  writeFileSync(join(data.path, `${i}.png`), await encodePng(image));
}

/** What the stored autoencoder makes of postcards: latents and pictures. */
async function through(name: string, size: number) {
  const { config: json, weights } = await openAutoencoder(name);
  const config = autoencoderKLConfig(json);
  const pixels = cards(size);
  const { outputs } = await run(engine, weights, { pixels }, (given, { params }) => {
    const { mean } = diagonalGaussian(encode(config, params, given.pixels));
    return { mean, reconstructed: decode(config, params, mean) };
  });
  return {
    config,
    latents: outputs.mean!,
    psnr: 10 * Math.log10(4 / meanSquare(float32Data(outputs.reconstructed!), float32Data(pixels))),
  };
}

function meanSquare(a: Float32Array, b: Float32Array): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0) / a.length;
}

it('stands for pictures of twice the size from the first step on, by latents that mean the same', async () => {
  const directory = join(folder, 'run');
  const config = await autoencoderTraining.configure({
    initial: embedded,
    grow: true,
    cropSize: 16,
    steps: 1,
    batch: 1,
    data,
    optimizer: { learningRate: 1e-9 },
  });
  const { modelDirectory } = await train(autoencoderTraining, config, { engine, directory });
  const smaller = await through(embedded, 64);
  const grown = await through(modelDirectory, 128);
  expect(grown.config).toMatchObject({ block_out_channels: [16, 16, 32, 64], sample_size: 128 });
  expect(grown.latents.shape).toEqual(smaller.latents.shape);

  const [before, after] = [float32Data(smaller.latents), float32Data(grown.latents)];
  const variance = meanSquare(before, new Float32Array(before.length).fill(0));
  expect(meanSquare(before, after) / variance).toBeLessThan(0.1);
  // Pixels in pairs cannot be better than pictures of half the size, doubled.
  expect(smaller.psnr).toBeGreaterThan(31);
  expect(grown.psnr).toBeGreaterThan(26);
});

it('trains every weight, those of its new level among them', async () => {
  const directory = join(folder, 'learning');
  const config = await autoencoderTraining.configure({
    initial: embedded,
    grow: true,
    cropSize: 32,
    steps: 2,
    batch: 2,
    data,
    optimizer: { learningRate: 0.001, schedule: { warmupSteps: 0 } },
  });
  const { modelDirectory } = await train(autoencoderTraining, config, { engine, directory });
  const { weights } = await openAutoencoder(modelDirectory);
  for (const name of [
    'encoder.down_blocks.0.resnets.0.conv2.weight',
    'decoder.up_blocks.3.resnets.1.conv2.bias',
  ]) {
    const { storage } = weights.get(name)!;
    const bytes =
      storage.kind === 'bytes' ? storage.bytes : await storage.source.read(storage.offset, storage.length);
    expect(bytes.some((byte) => byte !== 0)).toBe(true);
  }
});
