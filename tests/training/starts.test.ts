/** Trainings start from whatever draws: single files and autoencoders by themselves as well as diffusers directories. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { diffusionRunConfig } from '../../src/training/runs/diffusion-config.ts';
import { consistencyTraining } from '../../src/training/runs/distill.ts';
import { plan, train } from '../../src/training/runs/recipe.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';

const pipelines = fileURLToPath(new URL('../fixtures/golden/pipelines', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'starts-'));
const engine = createNodeEngine({ threads: 1 });
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});
const short = {
  steps: 1,
  batch: 1,
  latents: { pictures: 4 },
  cadence: { sampleEvery: 0 },
  data: { kind: 'postcards' },
};

it('a single-file checkpoint is distilled, into a model that draws', async () => {
  const teacher = join(pipelines, 'single_file/model_fp16.safetensors');
  const directory = join(folder, 'lcm');
  const config = await consistencyTraining.configure({ ...short, teacher, timeCondProjDim: 8 });
  const { modelDirectory, completed } = await train(consistencyTraining, config, { engine, directory });
  expect(completed).toBe(true);
  const { unet, pipelineClass } = await loadComponents(await openModel(modelDirectory));
  expect(pipelineClass).toBe('LatentConsistencyModelPipeline');
  expect(unet.config.guidanceWidth).toBe(8);
});

it('an autoencoder alone makes the latents, as a training writes it', async () => {
  const vae = join(folder, 'autoencoder');
  cpSync(join(pipelines, 'sd/model/vae'), join(vae, 'vae'), { recursive: true });
  const config = diffusionRunConfig({ ...short, vae });
  expect((await plan(diffusionTraining, config)).flopsPerStep).toBeGreaterThan(0);
  const alone = { ...config, vae: join(vae, 'vae') };
  expect((await plan(diffusionTraining, alone)).flopsPerStep).toBeGreaterThan(0);
});

it('what cannot be a teacher is refused with the reason', async () => {
  const planned = async (teacher: string) =>
    plan(consistencyTraining, await consistencyTraining.configure({ ...short, teacher }));
  await expect(planned(join(pipelines, 'sdxl/model'))).rejects.toThrow(/is a Stable Diffusion XL/);
  await expect(planned(join(pipelines, 'lcm/model'))).rejects.toThrow(/latent consistency model already/);
  await expect(planned('somebody/nothing')).rejects.toThrow(/lcm pull somebody\/nothing/);
});
