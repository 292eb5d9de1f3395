/** Trainings start from whatever draws: single files and autoencoders by themselves as well as diffusers directories. */
import { cpSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import { openLora } from '../../src/components/node/open-lora.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import type { JsonObject } from '../../src/files/json.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { elementCount } from '../../src/graph/shape.ts';
import { loadPipeline } from '../../src/pipelines/node/load.ts';
import { diffusionRunConfig } from '../../src/training/runs/diffusion-config.ts';
import { consistencyTraining } from '../../src/training/runs/distill.ts';
import { plan, train } from '../../src/training/runs/recipe.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';
import { convertTensor } from '../../src/weights/convert.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { mergeLoras } from '../../src/weights/merge-loras.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import type { Weights } from '../../src/weights/weights.ts';
import { expectClose } from '../conformance/golden.ts';

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

const distilled = async (name: string, settings: JsonObject) => {
  const directory = join(folder, name);
  const config = await consistencyTraining.configure({ ...short, timeCondProjDim: 8, ...settings });
  const { modelDirectory } = await train(consistencyTraining, config, { engine, directory });
  return modelDirectory;
};
const draws = async (model: string, loras: string[] = []) => {
  await using pipeline = await loadPipeline(model, { loras });
  const { images } = await pipeline.generate({ prompt: 'a fox', steps: 2, seed: 1 });
  return images[0]!.data;
};

it('a Stable Diffusion XL is distilled with both of its texts, into a model that draws', async () => {
  const teacher = join(pipelines, 'sdxl/model');
  const model = await distilled('xl-lcm', { teacher, saveDtype: 'float16' });
  const { unet, second, pipelineClass, scheduler, zerosForEmptyPrompt } = await loadComponents(
    await openModel(model),
  );
  expect(pipelineClass).toBe('StableDiffusionXLPipeline');
  expect([scheduler.name, unet.config.guidanceWidth, zerosForEmptyPrompt]).toEqual(['lcm', 8, true]);
  expect(second).toBeDefined();
  expect(new Set([...unet.weights.values()].map(({ dtype }) => dtype))).toEqual(new Set(['float16']));
  expect((await draws(model)).length).toBeGreaterThan(0);

  const lora = await distilled('xl-lora', { teacher, lora: { rank: 2 }, loraFormat: 'kohya' });
  const { metadata, weights } = await openSafetensors(join(lora, 'pytorch_lora_weights.safetensors'));
  expect(metadata).toMatchObject({
    ss_network_dim: '2',
    ss_base_model_version: 'sdxl_base_v1-0',
    'modelspec.architecture': 'stable-diffusion-xl-v1-base/lora',
    'latent-consistency': 'lcm-lora',
  });
  expect([...weights.keys()].every((name) => name.startsWith('lora_unet_'))).toBe(true);
  expect((await draws(teacher, [lora])).length).toBeGreaterThan(0);
});

it('LoRAs are merged into a teacher, and its student begins with them', async () => {
  const teacher = join(pipelines, 'sd/model');
  const lora = await distilled('style', { teacher, lora: { rank: 2 }, optimizer: { learningRate: 0.05 } });
  // As any other LoRA, without the mark of an LCM-LoRA.
  const { weights, metadata } = await openSafetensors(join(lora, 'pytorch_lora_weights.safetensors'));
  const style = join(folder, 'style.safetensors');
  const { 'latent-consistency': _, ...unmarked } = metadata;
  await writeSafetensors(style, await loadTensors(weights), unmarked);
  // A student of no learning rate to speak of is its teacher.
  const still = { teacher, timeCondProjDim: null, optimizer: { learningRate: 1e-12 } };
  const unetOf = async (model: string) =>
    loadTensors((await (await openModel(model)).network('unet')).weights);
  const merged = await unetOf(await distilled('merged', { ...still, loras: [`${style}:0.5`] }));
  const own = (await (await openModel(teacher)).network('unet')).weights;
  const expected = await loadTensors(
    await mergeLoras(own, 'unet', [{ lora: await openLora(style), strength: 0.5 }]),
  );
  for (const [name, tensor] of merged) {
    expectClose(float32Data(tensor), float32Data(convertTensor(expected.get(name)!, 'float32')), 1e-6);
  }
  await expect(distilled('again', { teacher, loras: [lora] })).rejects.toThrow(/consistency model already/);
});

it.each([
  ['lcf', { teacher: join(pipelines, 'lcm/model'), stepBack: 'data' }],
  [
    'ict',
    {
      start: 'random',
      stepBack: 'data',
      target: 'student',
      pairs: { kind: 'karras' },
      distance: { kind: 'huber-sample' },
    },
  ],
  [
    'ect',
    {
      stepBack: 'data',
      target: 'student',
      pairs: { kind: 'continuous' },
      distance: { kind: 'huber-sample' },
    },
  ],
  ['heun', { solver: 'heun', substeps: 2 }],
  ['dpm++', { solver: 'dpm++', distance: { kind: 'l1' } }],
])('%s trains, and its model draws', async (name, settings) => {
  const model = await distilled(name, { teacher: join(pipelines, 'sd/model'), ...settings });
  expect((await draws(model)).length).toBeGreaterThan(0);
  const { unet } = await loadComponents(await openModel(model));
  // A latent consistency model goes on to be told its guidance.
  expect(unet.config.guidanceWidth !== undefined).toBe(!['ict', 'ect'].includes(name));
});

it('an ordinary LoRA is trained by the diffusion objective, without the mark of an LCM-LoRA', async () => {
  const teacher = join(pipelines, 'sd/model');
  const lora = await distilled('ordinary', {
    teacher,
    objective: 'diffusion',
    lora: { rank: 2 },
    loraFormat: 'kohya',
    saveDtype: 'float16',
    captionDropout: 0.5,
    minSnrGamma: 5,
  });
  const opened = await openLora(lora);
  expect(opened.isConsistency).toBe(false);
  expect(new Set([...opened.weights.values()].map(({ dtype }) => dtype))).toEqual(new Set(['float16']));
  expect((await draws(teacher, [lora])).length).toBeGreaterThan(0);
  // And whole.
  const model = await distilled('finer', { teacher, objective: 'diffusion', pairs: { kind: 'lognormal' } });
  const { pipelineClass, scheduler } = await loadComponents(await openModel(model));
  expect([pipelineClass, scheduler.name]).toEqual(['StableDiffusionPipeline', 'ddim']);
});

it.each([
  ['fewer blocks', { mid_block_type: null }],
  ['fewer channels', { block_out_channels: [8, 8] }],
])('a student of %s learns its teacher, then consistency', async (name, student) => {
  const teacher = join(pipelines, 'sd/model');
  const losses: number[] = [];
  const directory = join(folder, name);
  const config = await consistencyTraining.configure({
    ...short,
    teacher,
    student,
    objective: 'output',
    steps: 12,
    batch: 2,
    timeCondProjDim: 8,
    optimizer: { learningRate: 5e-3, schedule: { kind: 'constant', warmupSteps: 0 } },
    cadence: { sampleEvery: 0, logEvery: 3 },
  });
  const { modelDirectory } = await train(consistencyTraining, config, {
    engine,
    directory,
    onProgress: (event) => {
      if (event.type === 'metrics') losses.push(event.record.loss!);
    },
  });
  expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
  const smaller = (await loadComponents(await openModel(modelDirectory))).unet;
  const count = (weights: Weights) =>
    [...weights.values()].reduce((sum, { shape }) => sum + elementCount(shape), 0);
  expect(count(smaller.weights)).toBeLessThan(
    0.9 * count((await (await openModel(teacher)).network('unet')).weights),
  );
  const few = await distilled(`${name}, few steps`, { teacher, start: modelDirectory });
  expect((await draws(few)).length).toBeGreaterThan(0);
});

it('a student that does not take what the teacher takes is refused', async () => {
  const teacher = join(pipelines, 'sd/model');
  const other = { teacher, objective: 'output', student: { cross_attention_dim: 8 } };
  await expect(distilled('other', other)).rejects.toThrow(/has cross_attention_dim 8, the teacher \d+;/);
  const none = { teacher, objective: 'output', student: { layers_per_block: 'many' } };
  await expect(distilled('none', none)).rejects.toThrow(/the setting "student".*layers_per_block/);
});

it('more sub-steps than timesteps are refused', async () => {
  await expect(distilled('many', { teacher: join(pipelines, 'sd/model'), substeps: 30 })).rejects.toThrow(
    /"substeps" is 30; a grid of 50 skips 20 timesteps, expected at most 19/,
  );
});

it('a latent consistency model goes on as a diffusion model, told the text as a whole as well', async () => {
  const initial = join(pipelines, 'lcm/model');
  const directory = join(folder, 'from-lcm');
  const config = await diffusionTraining.configure({
    ...{ ...short, initial, vae: initial, pooledText: true },
    optimizer: { learningRate: 1e-12 },
  });
  const { modelDirectory } = await train(diffusionTraining, config, { engine, directory });
  const model = await openModel(modelDirectory);
  const { unet, pipelineClass } = await loadComponents(model);
  expect(pipelineClass).toBe('StableDiffusionPipeline');
  expect(unet.config.guidanceWidth).toBeUndefined();

  const before = (await (await openModel(initial)).network('unet')).weights;
  const after = (await model.network('unet')).weights;
  expect([...before.keys()].filter((name) => !after.has(name))).toEqual(['time_embedding.cond_proj.weight']);
  const added = [...after.keys()].filter((name) => !before.has(name));
  expect(added.every((name) => name.startsWith('add_embedding.'))).toBe(true);
  // It begins as it was: what is added counts nothing yet, and the rest is the same.
  const numbersOf = async (weights: Weights, name: string) =>
    float32Data((await loadTensors(weights, [name])).get(name)!);
  const scale = await numbersOf(after, 'add_embedding.norm2.weight');
  expect(Math.max(...scale.map(Math.abs))).toBeLessThan(1e-9);
  const name = 'down_blocks.0.resnets.0.conv1.weight';
  const [was, is] = [await numbersOf(before, name), await numbersOf(after, name)];
  expect(Math.max(...is.map((value, i) => Math.abs(value - was[i]!)))).toBeLessThan(1e-6);
});

it('what cannot be a teacher is refused with the reason', async () => {
  const planned = async (teacher: string) =>
    plan(consistencyTraining, await consistencyTraining.configure({ ...short, teacher }));
  await expect(planned(join(pipelines, 'lcm/model'))).rejects.toThrow(/latent consistency model already/);
  await expect(planned('somebody/nothing')).rejects.toThrow(/lcm pull somebody\/nothing/);
});
