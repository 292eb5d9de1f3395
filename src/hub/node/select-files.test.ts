import { describe, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { type SelectionOptions, selectFiles } from './select-files.ts';

/** Texts of files that are read; other files are named only. */
const select = (files: Record<string, unknown>, options: SelectionOptions = {}) =>
  selectFiles('a/b', Object.keys(files), async (path) => JSON.stringify(files[path]), options);

const sdxl = {
  'model_index.json': {
    _class_name: 'StableDiffusionXLPipeline',
    scheduler: ['diffusers', 'EulerDiscreteScheduler'],
    text_encoder: ['transformers', 'CLIPTextModel'],
    tokenizer: ['transformers', 'CLIPTokenizer'],
    unet: ['diffusers', 'UNet2DConditionModel'],
    vae: [null, null],
    safety_checker: ['stable_diffusion', 'StableDiffusionSafetyChecker'],
  },
  'sd_xl_base_1.0.safetensors': null,
  'scheduler/scheduler_config.json': null,
  'text_encoder/config.json': null,
  'text_encoder/model.safetensors': null,
  'text_encoder/flax_model.msgpack': null,
  'tokenizer/vocab.json': null,
  'tokenizer/merges.txt': null,
  'tokenizer/tokenizer.json': null,
  'tokenizer/tokenizer_config.json': null,
  'unet/config.json': null,
  'unet/diffusion_pytorch_model.safetensors.index.json': {
    weight_map: {
      a: 'diffusion_pytorch_model-00001-of-00002.safetensors',
      b: 'diffusion_pytorch_model-00002-of-00002.safetensors',
      c: 'diffusion_pytorch_model-00002-of-00002.safetensors',
    },
  },
  'unet/diffusion_pytorch_model-00001-of-00002.safetensors': null,
  'unet/diffusion_pytorch_model-00002-of-00002.safetensors': null,
  'vae/config.json': null,
};

describe('selectFiles', () => {
  it('takes the parts that the pipeline names, shards and all', async () => {
    expect(await select(sdxl)).toEqual([
      'unet/config.json',
      'unet/diffusion_pytorch_model-00001-of-00002.safetensors',
      'unet/diffusion_pytorch_model-00002-of-00002.safetensors',
      'unet/diffusion_pytorch_model.safetensors.index.json',
      'text_encoder/config.json',
      'text_encoder/model.safetensors',
      'tokenizer/tokenizer_config.json',
      'tokenizer/vocab.json',
      'tokenizer/merges.txt',
      'scheduler/scheduler_config.json',
      'model_index.json',
    ]);
  });

  it.each<[string, object, string[]]>([
    [
      'one network',
      {
        'config.json': null,
        'diffusion_pytorch_model.safetensors': null,
        'diffusion_pytorch_model.bin': null,
      },
      ['diffusion_pytorch_model.safetensors', 'config.json'],
    ],
    [
      'a UNet in a folder',
      {
        'README.md': null,
        'unet/config.json': null,
        'unet/diffusion_pytorch_model.safetensors': null,
        'unet/diffusion_pytorch_model.bin': null,
        'images/a.png': null,
      },
      ['unet/diffusion_pytorch_model.safetensors', 'unet/config.json'],
    ],
    [
      'a LoRA',
      { 'pytorch_lora_weights.safetensors': null, 'other.safetensors': null },
      ['pytorch_lora_weights.safetensors'],
    ],
    [
      'a LoRA of peft',
      {
        'README.md': null,
        'adapter_config.json': null,
        'adapter_model.safetensors': null,
        'optimizer.safetensors': null,
      },
      ['adapter_model.safetensors', 'adapter_config.json'],
    ],
    [
      "peft's configuration with the only file",
      { 'adapter_config.json': null, 'style.safetensors': null },
      ['style.safetensors', 'adapter_config.json'],
    ],
    [
      'a single file',
      { 'README.md': null, 'v1-5-pruned.safetensors': null, 'v1-5.ckpt': null },
      ['v1-5-pruned.safetensors'],
    ],
  ])('takes %s where there is no pipeline', async (_, files, selected) => {
    expect(await select(files as Record<string, unknown>)).toEqual(selected);
  });

  it.each<[string, object, SelectionOptions, RegExp]>([
    [
      'several files',
      { 'a.safetensors': null, 'b.safetensors': null },
      {},
      /several models.*--file.*a\.safetensors, b/,
    ],
    ['a pickle', { 'model.ckpt': null }, {}, /model\.ckpt, a Python pickle/],
    ['nothing', { 'README.md': null }, {}, /no model that can be used here.*README\.md/],
    ['a broken index', { 'model_index.json': 3 }, {}, /must hold a JSON object/],
    [
      'a shard that is not there',
      {
        ...sdxl,
        'unet/diffusion_pytorch_model.safetensors.index.json': { weight_map: { a: '../../x.safetensors' } },
      },
      {},
      /names "\.\.\/\.\.\/x\.safetensors", which is not there/,
    ],
    ['a part without its config', { ...sdxl, 'unet/config.json': undefined }, {}, /no unet\/config\.json/],
  ])('refuses %s', async (_, files, options, message) => {
    const present = Object.fromEntries(Object.entries(files).filter(([, text]) => text !== undefined));
    const error = await select(present, options).catch((e: unknown) => e as Error);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(message);
  });
});
