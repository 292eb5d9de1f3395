/** Checkpoints, parts of models and LoRAs that lie in no folder of this machine are what they are in one. */
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, it } from 'vitest';
import { createNodeEngine, openLora, openModel } from '../src/index.ts';
import {
  autoencoderIn,
  autoencoderInFile,
  createPipeline,
  type Files,
  InputError,
  loraIn,
  type ModelFiles,
  memoryFiles,
  modelFilesIn,
  singleFileIn,
  unetIn,
  unetInFile,
  withAutoencoder,
  withUNet,
} from '../src/web.ts';
import { contentOf } from './in-memory.ts';

const fixtures = fileURLToPath(new URL('./fixtures', import.meta.url));
const pipelines = join(fixtures, 'golden/pipelines');
const [sd, lcm, single] = ['sd/model', 'lcm/model', 'single_file'].map((name) => join(pipelines, name)) as [
  string,
  string,
  string,
];
const FILE = 'diffusion_pytorch_model.safetensors';

const engine = createNodeEngine({ threads: 1 });
afterAll(() => engine.dispose());

/** Under the name that it has on the disk, for messages. */
const inMemory = (folder: string): Files => memoryFiles(contentOf(folder), folder);
/** One file of a folder, and nothing beside it. */
const fileInMemory = (folder: string, name: string): Files =>
  memoryFiles({ [name]: contentOf(folder)[name]! });

async function latentsOf(files: ModelFiles): Promise<unknown> {
  const pipeline = await createPipeline(files, engine);
  return (await pipeline.generate({ prompt: 'a red fox in the snow', seed: 11, steps: 2 })).latents;
}

describe('in memory', () => {
  it('a checkpoint with its configuration beside it draws what it draws from the disk', async () => {
    const checkpoint = await singleFileIn(inMemory(single), 'model_fp16.safetensors');
    expect(checkpoint.classes.get('scheduler')).toBe('LCMScheduler');
    const stored = await openModel(join(single, 'model_fp16.safetensors'));
    expect(await latentsOf(checkpoint)).toEqual(await latentsOf(stored));
  });

  it('a checkpoint in a folder of many takes its tokenizer and its configuration from others', async () => {
    const bytes = contentOf(single)['model_fp16.safetensors']!;
    const files = memoryFiles({ 'fox/model.safetensors': bytes, 'fox/model.ckpt': 'a pickle' });
    const alone = await singleFileIn(files, 'fox/model.safetensors');
    await expect(alone.text('tokenizer/vocab.json')).rejects.toThrow(InputError);
    const config = inMemory(join(single, 'config'));
    const whole = await singleFileIn(files, 'fox/model.safetensors', { config });
    const stored = await openModel(join(single, 'model_fp16.safetensors'));
    expect(await latentsOf(whole)).toEqual(await latentsOf(stored));
    await expect(singleFileIn(files, 'fox/model.ckpt')).rejects.toThrow('memory/fox/model.ckpt is a Python');
    await expect(singleFileIn(files, 'other.safetensors')).rejects.toThrow(/there is no such file/);
  });

  it.each<[string, string, (model: ModelFiles) => Promise<ModelFiles>]>([
    ['a model', lcm, async (model) => withUNet(model, await unetIn(inMemory(lcm), model))],
    [
      'a folder',
      join(lcm, 'unet'),
      async (model) => withUNet(model, await unetIn(inMemory(join(lcm, 'unet')), model)),
    ],
    [
      'a file',
      join(lcm, 'unet', FILE),
      async (model) => withUNet(model, await unetInFile(inMemory(join(lcm, 'unet')), FILE, model)),
    ],
  ])('a UNet of %s makes of a model what it makes on the disk', async (_, path, open) => {
    const model = await open(await modelFilesIn(inMemory(sd)));
    const stored = await openModel(sd, { unet: path });
    expect(model.pipelineClass).toBe(stored.pipelineClass);
    expect(model.classes).toEqual(stored.classes);
    expect(await latentsOf(model)).toEqual(await latentsOf(stored));
  });

  it('an autoencoder is scaled as its folder says, and a file as the model that it is for', async () => {
    const model = await modelFilesIn(inMemory(sd));
    const vae = join(sd, 'vae');
    const drawnWith = async (files: ModelFiles) => {
      const pipeline = await createPipeline(files, engine);
      return (await pipeline.generate({ prompt: 'a red fox', seed: 3, steps: 1 })).images;
    };
    const inFolder = withAutoencoder(model, await autoencoderIn(inMemory(vae)));
    expect(await drawnWith(inFolder)).toEqual(await drawnWith(await openModel(sd, { vae })));
    const file = await autoencoderInFile(fileInMemory(vae, FILE), FILE, model);
    const stored = await openModel(sd, { vae: join(vae, FILE) });
    expect(file.config).toEqual((await stored.network('vae')).config);
  });

  it.each(['peft', 'metadata', 'kohya-int64'])('a LoRA is read as on the disk: %s', async (name) => {
    const folder = join(fixtures, 'lora-layouts', name);
    const [here, there] = [await loraIn(inMemory(folder)), await openLora(folder)];
    expect(here.layers).toEqual(there.layers);
    expect(here.warnings).toEqual(there.warnings);
    expect(here.isConsistency).toBe(there.isConsistency);
    expect([...here.weights.keys()]).toEqual([...there.weights.keys()]);
  });
});
