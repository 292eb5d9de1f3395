/** A text encoder that is trained alone, and then with a denoiser. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, expect, it } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { float32Data } from '../../src/graph/host-tensor.ts';
import { plan, train } from '../../src/training/runs/recipe.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';
import { textTraining } from '../../src/training/runs/train-text.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';

const vae = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'text-'));
const engine = createNodeEngine({ threads: 1 });
afterAll(async () => {
  await engine.dispose();
  rmSync(folder, { recursive: true });
});
const textEncoder = { hidden_size: 32, intermediate_size: 64, num_hidden_layers: 1, num_attention_heads: 2 };
const unet = {
  block_out_channels: [8, 8],
  down_block_types: ['DownBlock2D', 'CrossAttnDownBlock2D'],
  up_block_types: ['CrossAttnUpBlock2D', 'UpBlock2D'],
  attention_head_dim: 2,
  norm_num_groups: 4,
  cross_attention_dim: 32,
  transformer_layers_per_block: 1,
};

it('a text encoder learns from captions alone, and a denoiser begins with it', async () => {
  const directory = join(folder, 'text');
  const config = await textTraining.configure({
    textEncoder,
    steps: 120,
    batch: 16,
    cadence: { logEvery: 1 },
    optimizer: { learningRate: 0.01, schedule: { warmupSteps: 0 } },
  });
  const { modelDirectory } = await train(textTraining, config, { engine, directory });
  const losses = readFileSync(join(directory, 'metrics.jsonl'), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, number>);
  // Ten questions: guessing costs ln 4 for the sky, ln 6 for the terrain, and so on.
  expect(losses[0]!.loss_terrain).toBeGreaterThan(1.5);
  expect(losses.at(-1)!.loss_terrain).toBeLessThan(0.9);

  const stored = await openModel(modelDirectory);
  expect([...stored.classes].sort()).toEqual([
    ['text_encoder', 'CLIPTextModel'],
    ['tokenizer', 'CLIPTokenizer'],
  ]);
  const read = JSON.parse((await stored.text('tokenizer/training_captions.json'))!);
  expect(read).toMatchObject({ complete: true, words: expect.arrayContaining(['lighthouse', 'left']) });
  const name = 'text_model.encoder.layers.0.mlp.fc1.weight';
  const weightsOf = async (model: string) => {
    const { weights } = await (await openModel(model)).network('text_encoder');
    return float32Data((await loadTensors(weights, [name])).get(name)!);
  };

  // It goes on from what it has learned.
  const again = await textTraining.configure({ initial: modelDirectory, steps: 1, cadence: { logEvery: 1 } });
  const onward = join(folder, 'onward');
  const further = await train(textTraining, again, { engine, directory: onward });
  const classes = (await openModel(further.modelDirectory)).classes;
  expect([...classes]).toEqual([...stored.classes]);
  const [taught, onwards] = [await weightsOf(modelDirectory), await weightsOf(further.modelDirectory)];
  expect(Math.max(...onwards.map((value, i) => Math.abs(value - taught[i]!)))).toBeLessThan(1e-4);
  const short = { steps: 1, batch: 1, unet, latents: { pictures: 4 }, data: { kind: 'postcards' }, vae };
  const start = await diffusionTraining.configure({
    ...short,
    initialText: modelDirectory,
    pooledText: true,
    cadence: { sampleEvery: 0 },
    optimizer: { learningRate: 1e-12 },
  });
  const result = await train(diffusionTraining, start, { engine, directory: join(folder, 'diffusion') });
  const { config: unetConfig } = await (await openModel(result.modelDirectory)).network('unet');
  expect(unetConfig).toMatchObject({ addition_embed_type: 'text', addition_embed_type_num_heads: 2 });
  // What the model was trained on comes with it, and it says what it does not know.
  expect((await loadComponents(await openModel(result.modelDirectory))).captions).toEqual(read);
  const [before, after] = [await weightsOf(modelDirectory), await weightsOf(result.modelDirectory)];
  expect(after).toHaveLength(64 * 32);
  expect(Math.max(...after.map((value, i) => Math.abs(value - before[i]!)))).toBeLessThan(1e-6);
});

it('a text encoder whose states the UNet does not take is refused before the first step', async () => {
  const wide = await diffusionTraining.configure({
    vae,
    textEncoder,
    unet: { ...unet, cross_attention_dim: 64 },
  });
  await expect(plan(diffusionTraining, wide)).rejects.toThrow(
    'the text encoder of the settings gives states of width 32 (hidden_size), the UNet takes 64 (cross_attention_dim); make the two equal',
  );
});
