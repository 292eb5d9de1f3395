/** Where a single file's tokenizer and configurations are looked for, and what is said when there are none. */
import { copyFileSync, cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import type { ModelFiles } from '../../src/components/model-files.ts';
import { singleFile } from '../../src/components/node/single-file.ts';
import { type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { originalClip, originalOpenClip, originalUNet, type Shapes } from './original-layout.ts';

const fixture = fileURLToPath(new URL('../fixtures/golden/pipelines/single_file', import.meta.url));
const tokenizer = join(fixture, 'config', 'tokenizer');

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'single-file-'));
  file = join(folder, 'model.safetensors');
  // No tokenizer of this machine's cache may be found.
  vi.stubEnv('HF_HUB_CACHE', join(folder, 'cache'));
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(folder, { recursive: true });
});

const useFixture = () => copyFileSync(join(fixture, 'model_fp16.safetensors'), file);

async function write(...parts: Shapes[]): Promise<void> {
  const tensors = new Map<string, HostTensor>();
  for (const [name, shape] of parts.flatMap((part) => [...part])) {
    const length = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, { dtype: 'int8', shape, data: new Int8Array(length) });
  }
  await writeSafetensors(file, tensors);
}

/** The padding of a tokenizer, as its files say it. */
async function padding(files: ModelFiles, name: string): Promise<unknown> {
  const json = JSON.parse((await files.text(`${name}/special_tokens_map.json`)) ?? '{}') as Record<
    string,
    unknown
  >;
  const token = json.pad_token as string | { content: string };
  return typeof token === 'object' ? token.content : token;
}

describe('a single file', () => {
  it('is a model with the folder named "config" beside it, or a named one', async () => {
    useFixture();
    const named = await singleFile(file, { config: join(fixture, 'config') });
    expect(await loadComponents(named)).toMatchObject({
      pipelineClass: 'StableDiffusionPipeline',
      location: file,
    });
    cpSync(join(fixture, 'config'), join(folder, 'config'), { recursive: true });
    const { textEncoder, scheduler } = await loadComponents(await singleFile(file));
    expect(textEncoder.config.num_attention_heads).toBe(3);
    expect(scheduler.className).toBe('LCMScheduler');
  });

  it('is a model in the folder that describes it, as repositories on the hub have it', async () => {
    useFixture();
    cpSync(join(fixture, 'config'), folder, { recursive: true });
    expect((await loadComponents(await singleFile(file))).scheduler.className).toBe('LCMScheduler');
  });

  it('takes no notice of a folder that describes another model', async () => {
    useFixture();
    cpSync(join(fixture, 'config'), folder, { recursive: true });
    const path = join(folder, 'unet', 'config.json');
    writeFileSync(
      path,
      JSON.stringify({ in_channels: 4, cross_attention_dim: 768, block_out_channels: [320] }),
    );
    const files = await singleFile(file);
    expect(files.classes.get('scheduler')).toBe('PNDMScheduler');
    const { config } = await files.network('unet');
    expect(config).toMatchObject({ cross_attention_dim: 24, block_out_channels: [32, 32, 32, 32] });
    await expect(files.network('text_encoder')).rejects.toThrow(/24 channels, which are not heads of 64/);
  });

  it.each<[string, () => string | undefined]>([
    ['named', () => tokenizer],
    ['in a named model', () => join(fixture, 'config')],
    [
      'in a folder beside the file',
      () => void cpSync(tokenizer, join(folder, 'tokenizer'), { recursive: true }),
    ],
    ['beside the file', () => void cpSync(tokenizer, folder, { recursive: true })],
    [
      'in the cache of downloads',
      () => {
        const clip = join(folder, 'cache', 'models--openai--clip-vit-large-patch14');
        const commit = 'a'.repeat(40);
        mkdirSync(join(clip, 'refs'), { recursive: true });
        writeFileSync(join(clip, 'refs', 'main'), commit);
        cpSync(tokenizer, join(clip, 'snapshots', commit), { recursive: true });
        return undefined;
      },
    ],
  ])('finds a tokenizer %s', async (_, prepare) => {
    useFixture();
    const files = await singleFile(file, { tokenizer: prepare() });
    expect(await files.text('tokenizer/merges.txt')).toMatch(/^#version/);
    expect(await padding(files, 'tokenizer')).toBe('<|endoftext|>');
  });

  it('without a tokenizer says where to get one', async () => {
    useFixture();
    const files = await singleFile(file);
    const error = await files.text('tokenizer/vocab.json').catch((e: unknown) => e);
    expect(error).toMatchObject({
      name: 'InputError',
      message: expect.stringMatching(
        /carries no tokenizer.*--tokenizer.*lcm pull openai\/clip-vit-large-patch14 --file/,
      ),
    });
    const wrong = await singleFile(file, { tokenizer: folder });
    await expect(wrong.text('tokenizer/vocab.json')).rejects.toThrow(
      /holds no tokenizer: expected vocab\.json/,
    );
  });

  const unet = {
    inChannels: 4,
    modelChannels: 64,
    channelMult: [1, 1],
    midDepth: 1,
    contextDim: 64,
  } as const;

  it('with an OpenCLIP text encoder pads with "!"', async () => {
    const text = originalOpenClip('cond_stage_model.model.', 64, 2);
    await write(originalUNet({ ...unet, depths: [1, 1], linear: true }), text);
    expect(await padding(await singleFile(file, { tokenizer }), 'tokenizer')).toBe('!');
    const clip = originalClip('conditioner.embedders.0.transformer.', 64, 2);
    const openClip = originalOpenClip('conditioner.embedders.1.model.', 64, 2);
    await write(originalUNet({ ...unet, depths: [1, 1], linear: true, admInChannels: 112 }), clip, openClip);
    const files = await singleFile(file, { tokenizer });
    expect(await padding(files, 'tokenizer')).toBe('<|endoftext|>');
    expect(await padding(files, 'tokenizer_2')).toBe('!');
    expect([...files.classes.keys()].sort()).toEqual(
      ['scheduler', 'text_encoder', 'text_encoder_2', 'tokenizer', 'tokenizer_2', 'unet'].sort(),
    );
    await expect(files.network('vae')).rejects.toThrow(/has no vae; it holds .*unet.*Pass one with --vae/);
  });

  it('tells what Stable Diffusion 2 predicts from the step that it was saved at', async () => {
    const text = originalOpenClip('cond_stage_model.model.', 64, 2);
    const prediction = async (step: number) => {
      await write(originalUNet({ ...unet, depths: [1, 1], linear: true }), text);
      const tensors = await loadTensors((await openSafetensors(file)).weights);
      tensors.set('global_step', hostTensor(BigInt64Array.of(BigInt(step)), []));
      await writeSafetensors(file, tensors);
      const config = await (await singleFile(file)).text('scheduler/scheduler_config.json');
      return (JSON.parse(config!) as { prediction_type: string }).prediction_type;
    };
    expect(await prediction(875_000)).toBe('epsilon');
    expect(await prediction(140_000)).toBe('v_prediction');
  });

  it('of no published width takes its configurations from a folder or a file', async () => {
    const tiny = { ...unet, depths: [1, 1], linear: false };
    await write(originalUNet(tiny));
    await expect(singleFile(file)).rejects.toThrow(/not known .* is \[64, 64\].*--config/);
    const config = join(fixture, 'config');
    const files = await singleFile(file, { config });
    expect(files.checkpoint).toMatchObject({ family: 'stable-diffusion-1', prediction: undefined });
    const json = {
      _class_name: 'UNet2DConditionModel',
      cross_attention_dim: 1024,
      attention_head_dim: [2, 2],
    };
    const path = join(folder, 'unet.json');
    writeFileSync(path, JSON.stringify(json));
    const described = await singleFile(file, { config: path });
    expect(described.checkpoint).toMatchObject({ family: 'stable-diffusion-2' });
    expect((await described.network('unet')).config).toEqual(json);
    writeFileSync(path, '{"_class_name": "AutoencoderKL"}');
    await expect(singleFile(file, { config: path })).rejects.toThrow(
      /unet\.json describes no UNet2DCondition/,
    );
    writeFileSync(join(folder, 'v2.yaml'), 'model:');
    await expect(singleFile(file, { config: join(folder, 'v2.yaml') })).rejects.toThrow(/original code/);
  });

  it('that is a pickle is refused, with the reason', async () => {
    const pickle = join(folder, 'model.ckpt');
    writeFileSync(pickle, 'anything');
    await expect(singleFile(pickle)).rejects.toThrow(/Python pickle, which can run any code/);
  });
});
