import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { loadTensors } from '../load-tensors.ts';
import { encodeSafetensors } from '../safetensors.ts';
import { openModelFolder } from './model-folder.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'model-folder-'));
  await write('config.json', '{"_class_name":"UNet2DConditionModel"}');
});
afterEach(() => rm(folder, { recursive: true }));

const write = (name: string, content: string | Uint8Array) => writeFile(join(folder, name), content);

/** A safetensors file whose tensors have these names and shapes, filled with `value`. */
function weightsFile(shapes: Record<string, number[]>, value = 1): Uint8Array {
  const tensors = new Map<string, HostTensor>();
  for (const [name, shape] of Object.entries(shapes)) {
    const length = shape.reduce((product, size) => product * size, 1);
    tensors.set(name, hostTensor(new Float32Array(length).fill(value), shape));
  }
  return encodeSafetensors(tensors);
}

const opening = (options = {}) => openModelFolder(folder, options).catch((error: unknown) => error as Error);

const shapesOf = async () =>
  Object.fromEntries([...(await openModelFolder(folder)).weights].map(([name, { shape }]) => [name, shape]));

describe('the weights of a model folder', () => {
  it('are the plain file, or the variant asked for, or the only one', async () => {
    await write('diffusion_pytorch_model.fp16.safetensors', weightsFile({ w: [1] }, 16));
    const value = async (variant?: string) => {
      const { weights } = await openModelFolder(folder, { variant });
      return (await loadTensors(weights)).get('w')!.data[0];
    };
    expect(await value()).toBe(16);
    await write('diffusion_pytorch_model.safetensors', weightsFile({ w: [1] }, 32));
    expect(await value()).toBe(32);
    expect(await value('fp16')).toBe(16);
    expect(await opening({ variant: 'bf16' })).toBeInstanceOf(InputError);
    expect((await opening({ variant: 'bf16' })) as Error).toHaveProperty(
      'message',
      expect.stringMatching(/fp16/),
    );
  });

  it('must be named when there are only several variants', async () => {
    await write('model.fp16.safetensors', weightsFile({ w: [1] }));
    await write('model.bf16.safetensors', weightsFile({ w: [1] }));
    expect(await opening()).toMatchObject({ name: 'InputError', message: expect.stringMatching(/Name one/) });
  });

  it.each([
    ['', 'diffusion_pytorch_model.safetensors.index.json'],
    ['fp16', 'diffusion_pytorch_model.safetensors.index.fp16.json'],
  ])('may lie in shards (variant "%s")', async (variant, index) => {
    const shard = (i: number) => `diffusion_pytorch_model.${variant}-0000${i}-of-00002.safetensors`;
    await write(shard(1), weightsFile({ a: [1], b: [2] }));
    await write(shard(2), weightsFile({ c: [3] }));
    await write(index, JSON.stringify({ weight_map: { a: shard(1), b: shard(1), c: shard(2) } }));
    expect(await shapesOf()).toEqual({ a: [1], b: [2], c: [3] });

    await write(index, JSON.stringify({ weight_map: { a: shard(1), c: shard(1) } }));
    expect(await opening()).toMatchObject({ name: 'InputError', message: expect.stringMatching(/lacks c/) });
    for (const outside of ['../x.safetensors', '/x.safetensors', 'a\\b.safetensors', 'a\0.safetensors', 7]) {
      await write(index, JSON.stringify({ weight_map: { a: outside } }));
      expect(await opening()).toMatchObject({
        name: 'InputError',
        message: expect.stringMatching(/must be a safetensors file beside it/),
      });
    }
    await write(index, JSON.stringify({ weight_map: { a: 'gone.safetensors' } }));
    expect(await opening()).toMatchObject({ name: 'InputError', message: expect.stringMatching(/gone/) });
    await write(index, '{}');
    expect(await opening()).toMatchObject({
      name: 'InputError',
      message: expect.stringMatching(/weight_map/),
    });
  });

  it('are refused as a pickle, with the reason and the remedy', async () => {
    await write('diffusion_pytorch_model.bin', 'anything');
    expect(await opening()).toMatchObject({
      name: 'InputError',
      message: expect.stringMatching(/pickle.*any code.*safe_serialization/),
    });
  });

  it.each([
    ['weights', () => Promise.resolve(), /holds no weights/],
    ['a config', () => rm(join(folder, 'config.json')), /config\.json: there is no such file/],
    ['JSON', () => write('config.json', '{'), /not valid JSON/],
    ['an object', () => write('config.json', '[]'), /must hold a JSON object/],
    ['a class', () => write('config.json', '{}'), /names no model/],
  ])('are refused without %s', async (_, prepare, message) => {
    await prepare();
    expect(await opening()).toMatchObject({ name: 'InputError', message: expect.stringMatching(message) });
  });
});

describe('names of other times', () => {
  it("an autoencoder's attention, also as 1×1 convolutions", async () => {
    await write('config.json', '{"_class_name":"AutoencoderKL"}');
    const block = 'encoder.mid_block.attentions.0';
    await write(
      'diffusion_pytorch_model.safetensors',
      weightsFile({
        [`${block}.query.weight`]: [4, 4, 1, 1],
        [`${block}.query.bias`]: [4],
        [`${block}.key.weight`]: [4, 4],
        [`${block}.value.weight`]: [4, 4, 1, 1],
        [`${block}.proj_attn.weight`]: [4, 4, 1, 1],
        [`${block}.proj_attn.bias`]: [4],
        'decoder.mid_block.attentions.0.to_k.weight': [4, 4, 1, 1],
        'quant_conv.weight': [8, 8, 1, 1],
      }),
    );
    expect(await shapesOf()).toEqual({
      [`${block}.to_q.weight`]: [4, 4],
      [`${block}.to_q.bias`]: [4],
      [`${block}.to_k.weight`]: [4, 4],
      [`${block}.to_v.weight`]: [4, 4],
      [`${block}.to_out.0.weight`]: [4, 4],
      [`${block}.to_out.0.bias`]: [4],
      'decoder.mid_block.attentions.0.to_k.weight': [4, 4],
      'quant_conv.weight': [8, 8, 1, 1],
    });
  });

  it.each(['', 'text_model.'])('a text encoder with the prefix "%s"', async (prefix) => {
    await write('config.json', '{"architectures":["CLIPTextModelWithProjection"]}');
    await write(
      'model.safetensors',
      weightsFile({
        [`${prefix}embeddings.position_ids`]: [1, 77],
        [`${prefix}embeddings.token_embedding.weight`]: [5, 2],
        [`${prefix}encoder.layers.0.layer_norm1.bias`]: [2],
        [`${prefix}final_layer_norm.bias`]: [2],
        'text_projection.weight': [3, 2],
      }),
    );
    expect(await shapesOf()).toEqual({
      'text_model.embeddings.token_embedding.weight': [5, 2],
      'text_model.encoder.layers.0.layer_norm1.bias': [2],
      'text_model.final_layer_norm.bias': [2],
      'text_projection.weight': [3, 2],
    });
  });

  it("leaves a UNet's 1×1 convolutions alone", async () => {
    const shapes = { 'down_blocks.0.attentions.0.proj_in.weight': [4, 4, 1, 1] };
    await write('diffusion_pytorch_model.safetensors', weightsFile(shapes));
    expect(await shapesOf()).toEqual(shapes);
  });
});
