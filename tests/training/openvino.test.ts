/** A whole training step on OpenVINO, of the size of the embedded model: its losses are those of ONNX Runtime. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { EMBEDDED_MODEL } from '../../src/components/node/embedded-models.ts';
import { createEngine } from '../../src/engines/create-engine.ts';
import { findOpenVino, notFound } from '../../src/engines/openvino/installation.ts';
import { diffusionRunConfig } from '../../src/training/runs/diffusion-config.ts';
import { train } from '../../src/training/runs/recipe.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';

const folder = mkdtempSync(join(tmpdir(), 'lcm-'));
afterAll(() => rmSync(folder, { recursive: true }));

const found = findOpenVino().path !== undefined;
if (!found) console.warn(`left out: training on OpenVINO: ${notFound}`);

async function losses(device: 'cpu' | 'openvino'): Promise<number[]> {
  const config = diffusionRunConfig({
    steps: 2,
    batch: 8,
    latents: { pictures: 16, file: join(folder, 'latents.safetensors') },
    cadence: { sampleEvery: 0 },
    vae: EMBEDDED_MODEL,
  });
  const found: number[] = [];
  await using engine = createEngine({ device });
  await train(diffusionTraining, config, {
    engine,
    directory: join(folder, device),
    onProgress: (event) => {
      if (event.type === 'step') found.push(event.loss);
    },
  });
  return found;
}

it.runIf(found)('a diffusion training has on OpenVINO the losses that it has on ONNX Runtime', async () => {
  const expected = await losses('cpu');
  const given = await losses('openvino');
  expect(given).toHaveLength(2);
  for (const [i, loss] of given.entries()) expect(Math.abs(loss / expected[i]! - 1)).toBeLessThan(1e-4);
});
