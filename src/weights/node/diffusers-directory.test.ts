import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { jsonObjectIn } from '../../files/files.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { openComponent } from '../diffusers-directory.ts';
import { loadTensors } from '../load-tensors.ts';
import { openDiffusersDirectory } from './diffusers-directory.ts';
import { type DiffusersDirectoryToWrite, writeDiffusersDirectory } from './write-diffusers.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'diffusers-'));
});
afterEach(() => rm(folder, { recursive: true }));

const contents: DiffusersDirectoryToWrite = {
  pipelineClass: 'LatentConsistencyModelPipeline',
  options: { requires_safety_checker: false },
  components: {
    unet: {
      library: 'diffusers',
      className: 'UNet2DConditionModel',
      config: { sample_size: 16 },
      tensors: new Map([['conv_in.bias', hostTensor(Float32Array.of(1, 0.1), [2])]]),
    },
    text_encoder: {
      library: 'transformers',
      className: 'CLIPTextModel',
      config: { hidden_size: 8 },
      tensors: new Map([['text_model.final_layer_norm.bias', hostTensor(Float32Array.of(3), [1])]]),
    },
    tokenizer: {
      library: 'transformers',
      className: 'CLIPTokenizer',
      files: { 'merges.txt': '#version: 0.2\n' },
    },
    scheduler: { library: 'diffusers', className: 'LCMScheduler', schedulerConfig: { beta_start: 0.00085 } },
    safety_checker: null,
  },
};

describe('a diffusers directory', () => {
  it('is read as it was written', async () => {
    const path = join(folder, 'model');
    await writeDiffusersDirectory(path, contents);
    const directory = await openDiffusersDirectory(path);
    expect(directory.pipelineClass).toBe('LatentConsistencyModelPipeline');
    expect(directory.options).toMatchObject({ requires_safety_checker: false });
    expect(Object.fromEntries(directory.components)).toEqual({
      unet: { library: 'diffusers', className: 'UNet2DConditionModel' },
      text_encoder: { library: 'transformers', className: 'CLIPTextModel' },
      tokenizer: { library: 'transformers', className: 'CLIPTokenizer' },
      scheduler: { library: 'diffusers', className: 'LCMScheduler' },
    });
    const unet = await openComponent(directory, 'unet');
    expect(unet.config).toMatchObject({ _class_name: 'UNet2DConditionModel', sample_size: 16 });
    expect((await loadTensors(unet.weights)).get('conv_in.bias')!.data).toEqual(Float32Array.of(1, 0.1));
    const text = await openComponent(directory, 'text_encoder');
    expect(text.config).toMatchObject({ architectures: ['CLIPTextModel'], hidden_size: 8 });
    expect(text.file).toBe(join(path, 'text_encoder', 'model.safetensors'));
    expect(await jsonObjectIn(directory.files, 'scheduler/scheduler_config.json')).toMatchObject({
      _class_name: 'LCMScheduler',
      beta_start: 0.00085,
    });
    expect(await readFile(join(path, 'tokenizer', 'merges.txt'), 'utf8')).toBe('#version: 0.2\n');
    expect(await readdir(folder)).toEqual(['model']);
  });

  it.each([
    ['float16', 0x2e66],
    ['bfloat16', 0x3dcd],
  ] as const)('may hold %s', async (dtype, tenth) => {
    const path = join(folder, 'model');
    await writeDiffusersDirectory(path, contents, { dtype });
    const { weights } = await openComponent(await openDiffusersDirectory(path), 'unet');
    expect(weights.get('conv_in.bias')).toMatchObject({ dtype, shape: [2] });
    expect((await loadTensors(weights)).get('conv_in.bias')!.data[1]).toBe(tenth);
  });

  it('is not written over another unless that is asked for', async () => {
    const path = join(folder, 'model');
    await writeDiffusersDirectory(path, contents);
    await expect(writeDiffusersDirectory(path, contents)).rejects.toThrow(InputError);
    await writeDiffusersDirectory(path, { ...contents, pipelineClass: 'Other' }, { replace: true });
    expect((await openDiffusersDirectory(path)).pipelineClass).toBe('Other');
  });

  it.each(['../outside', 'a/b', '..', 'C:'])('has no part called %j, and no such file', async (name) => {
    const path = join(folder, 'model');
    const part = { library: 'transformers', className: 'CLIPTokenizer', files: { 'vocab.json': '{}' } };
    const named = { ...contents, components: { [name]: part } };
    await expect(writeDiffusersDirectory(path, named)).rejects.toThrow(/is called .*expected a plain name/);
    const files = { ...contents, components: { tokenizer: { ...part, files: { [name]: '' } } } };
    await expect(writeDiffusersDirectory(path, files)).rejects.toThrow(/is called .*expected a plain name/);
    expect(await readdir(folder)).toEqual([]);
  });

  it('without an index, a class, or the part that is wanted is refused', async () => {
    await expect(openDiffusersDirectory(folder)).rejects.toThrow(/model_index\.json: there is no such file/);
    await writeFile(join(folder, 'model_index.json'), '{}');
    await expect(openDiffusersDirectory(folder)).rejects.toThrow(/names no pipeline/);
    await writeFile(
      join(folder, 'model_index.json'),
      '{"_class_name":"P","vae":["diffusers","AutoencoderKL"],"unet":[null,null]}',
    );
    const directory = await openDiffusersDirectory(folder);
    await expect(openComponent(directory, 'unet')).rejects.toThrow(/names no unet; it has vae/);
    await expect(openComponent(directory, 'vae')).rejects.toThrow(InputError);
  });
});
