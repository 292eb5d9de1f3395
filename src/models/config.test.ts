import { describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../errors.ts';
import { input } from '../graph/tensor.ts';
import { DeclaredParams } from '../layers/params.ts';
import { autoencoderKLConfig } from './autoencoder-kl.ts';
import { autoencoderTinyConfig } from './autoencoder-tiny.ts';
import { clipText, clipTextConfig } from './clip-text.ts';
import { unet2DCondition } from './unet-2d-condition.ts';
import { unet2DConditionConfig } from './unet-2d-condition-config.ts';

describe('model configs', () => {
  it('take diffusers defaults for what is absent', () => {
    const unet = unet2DConditionConfig({ _class_name: 'UNet2DConditionModel', _diffusers_version: '0.6.0' });
    expect(unet.block_out_channels).toEqual([320, 640, 1280, 1280]);
    expect(unet.attention_head_dim).toEqual([8, 8, 8, 8]);
    expect(unet.mid_block_type).toBe('UNetMidBlock2DCrossAttn');
    expect(unet2DConditionConfig({ mid_block_type: null }).mid_block_type).toBeNull();
    expect(autoencoderKLConfig({}).scaling_factor).toBe(0.18215);
    expect(autoencoderTinyConfig({}).num_encoder_blocks).toEqual([1, 3, 3, 3]);
    expect(clipTextConfig({}).eos_token_id).toBe(49407);
  });

  it('read back what they write', () => {
    const unet = unet2DConditionConfig({ time_cond_proj_dim: 256, attention_head_dim: [5, 10, 20, 20] });
    expect(unet2DConditionConfig(JSON.parse(JSON.stringify(unet)))).toEqual(unet);
    const lists = unet2DConditionConfig({
      sample_size: [64, 96],
      layers_per_block: [1, 2, 2, 1],
      // Where nothing attends, the width is of no consequence.
      mid_block_type: null,
      cross_attention_dim: [768, 768, 768, 1],
      transformer_layers_per_block: [[1], [2, 1], 3, [9, 9, 9]],
      reverse_transformer_layers_per_block: [1, [1, 2, 3], 1, 1],
      only_cross_attention: [false, false, false, false],
    });
    expect(lists.cross_attention_dim).toBe(768);
    expect(unet2DConditionConfig(JSON.parse(JSON.stringify(lists)))).toEqual(lists);
    expect(unet2DConditionConfig({ layers_per_block: [2, 2, 2, 2] })).toEqual(unet2DConditionConfig({}));
    const vae = autoencoderKLConfig({ mid_block_add_attention: false, sample_size: [256, 512] });
    expect(vae.sample_size).toEqual([256, 512]);
    expect(autoencoderKLConfig(JSON.parse(JSON.stringify(vae)))).toEqual(vae);
  });

  it.each([
    [{ class_embed_type: 'timestep' }, 'class_embed_type is "timestep"; expected null'],
    [{ down_block_types: ['AttnDownBlock2D'] }, 'CrossAttnDownBlock2D'],
    [
      { attention_head_dim: [8, 8] },
      'attention_head_dim is [8,8]; expected a positive integer up to 32768, or a list of 4',
    ],
    [{ attention_head_dim: 7 }, 'attention_head_dim is 7; expected numbers of heads that divide'],
    [{ norm_num_groups: 48 }, 'norm_num_groups is 48; expected a divisor'],
    [{ block_out_channels: [320, 640] }, 'down_block_types is absent; expected 2 entries'],
    [{ addition_embed_type: 'text_time' }, 'addition_time_embed_dim is absent'],
    [{ addition_embed_type: 'text_image' }, '"text_image"; expected one of "text", "text_time"'],
    [
      { addition_embed_type: 'text', addition_embed_type_num_heads: 3 },
      'addition_embed_type_num_heads is 3; expected a divisor of cross_attention_dim 1280',
    ],
    [
      { layers_per_block: [2, 2] },
      'layers_per_block is [2,2]; expected a positive integer up to 128, or a list of 4',
    ],
    [
      { transformer_layers_per_block: [1, 1, 1, [1, 1]] },
      'reverse_transformer_layers_per_block is absent; expected a list, because transformer_layers_per_block has',
    ],
    [
      {
        transformer_layers_per_block: [[1, 1, 1], 1, 1, 1],
        reverse_transformer_layers_per_block: [1, 1, 1, 1],
      },
      'expected a list of 2 where level 0 has a list: one for each of its blocks',
    ],
    [
      { reverse_transformer_layers_per_block: [1, 1, 1, [1, 2]] },
      'reverse_transformer_layers_per_block is [1,1,1,[1,2]]; expected a list of 3 where level 3 has a list',
    ],
    [{ transformer_layers_per_block: [1, 1, 1, ['x']] }, 'or a list of 4 such numbers, or lists of them'],
    [
      { cross_attention_dim: [768, 768, 1024, 768] },
      'cross_attention_dim is [768,768,1024,768]; expected the same width at all levels that attend',
    ],
    [
      { only_cross_attention: [false, false, true, false] },
      'only_cross_attention is [false,false,true,false]',
    ],
    [{ sample_size: [64] }, 'sample_size is [64]; expected a positive integer up to'],
    [{ sample_size: [64, 0] }, 'a list of two, height and width, or null'],
    [{ act_fn: 'mish' }, 'act_fn is "mish"; expected one of "silu"'],
    [{ in_channels: -4 }, 'in_channels is -4; expected a positive integer'],
    [{ a_later_invention: 3 }, 'a_later_invention is 3'],
  ])('refuse %j, naming the field', (json, message) => {
    expect(() => unet2DConditionConfig(json)).toThrow(InputError);
    expect(() => unet2DConditionConfig(json)).toThrow(`UNet2DConditionModel config: `);
    expect(() => unet2DConditionConfig(json)).toThrow(message);
  });

  it('pass over unknown fields that are switched off or private', () => {
    expect(() => unet2DConditionConfig({ a_later_invention: null, another: false, _note: 1 })).not.toThrow();
  });

  it('refuse what is no object', () => {
    expect(() => clipTextConfig([])).toThrow('the CLIPTextModel config must be a JSON object, got []');
  });
});

describe('models refuse inputs that do not fit', () => {
  const { params } = new DeclaredParams();
  const tensors = {
    sample: input('sample', [1, 4, 8, 8]),
    timestep: input('timestep', [1]),
    encoderHiddenStates: input('states', [1, 7, 768]),
  };

  it('a guidance embedding for a model without one, or of another width', () => {
    const timestepCond = input('w', [1, 256]);
    const plain = unet2DConditionConfig({});
    expect(() => unet2DCondition(plain, params, { ...tensors, timestepCond })).toThrow(UsageError);
    const narrow = unet2DConditionConfig({ time_cond_proj_dim: 128 });
    expect(() => unet2DCondition(narrow, params, { ...tensors, timestepCond })).toThrow(
      'timestepCond is 256 wide',
    );
  });

  it('a sample without the channels that an inpainting model needs', () => {
    const config = unet2DConditionConfig({ in_channels: 9 });
    expect(() => unet2DCondition(config, params, tensors)).toThrow('the sample has 4 channels; in_channels');
  });

  it('an SDXL model without its added conditions', () => {
    const config = unet2DConditionConfig({
      addition_embed_type: 'text_time',
      addition_time_embed_dim: 256,
      projection_class_embeddings_input_dim: 2816,
    });
    expect(() => unet2DCondition(config, params, tensors)).toThrow('needs addedCond');
    const addedCond = { textEmbeds: input('text', [1, 768]), timeIds: input('ids', [1, 6]) };
    expect(() => unet2DCondition(config, params, { ...tensors, addedCond })).toThrow('give 2304 features');
  });

  it('a prompt longer than the table of positions', () => {
    const ids = input('ids', [1, 78], 'int64');
    expect(() => clipText(clipTextConfig({}), params, ids)).toThrow('at most 77 tokens, got 78');
  });
});
