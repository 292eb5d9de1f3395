import { describe, expect, it } from 'vitest';
import { createReferenceEngine } from '../engines/reference/engine.ts';
import { InputError } from '../errors.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import { zerosInitializer } from '../layers/initializers.ts';
import { requireComponents, withLoras } from './lora.ts';
import { formatLora, readLora } from './lora-file.ts';
import { layerKey, parseLoraName } from './lora-names.ts';
import { bytesOf } from './safetensors.ts';
import { paramsFromWeights } from './source.ts';
import type { Weights } from './weights.ts';

const asWeights = (tensors: ReadonlyMap<string, HostTensor>): Weights =>
  new Map([...tensors].map(([name, t]) => [name, { ...t, storage: { kind: 'bytes', bytes: bytesOf(t) } }]));

const tensor = (shape: Shape, ...values: number[]) => hostTensor(Float32Array.from(values), shape);

/** Rank 1, alpha 2, on a linear layer of 2×3: twice the outer product of (1, 10) and (1, 2, 3). */
const factors = new Map([
  ['mid.fc.lora_A.weight', tensor([1, 3], 1, 2, 3)],
  ['mid.fc.lora_B.weight', tensor([2, 1], 1, 10)],
]);
const base = new Map([
  ['mid.fc.weight', tensor([2, 3], 100, 100, 100, 100, 100, 100)],
  ['mid.fc.bias', tensor([2], 5, 6)],
]);

/** The weight of the layer as a model would see it. */
async function adapted(lora: ReturnType<typeof readLora>, strength: number): Promise<number[]> {
  const weights = asWeights(base);
  const { params, weights: own } = withLoras(paramsFromWeights(weights).params, 'unet', [{ lora, strength }]);
  const layer = params.in('mid.fc');
  const graph = program({
    weight: layer.weight('weight', [2, 3], zerosInitializer),
    bias: layer.weight('bias', [2], zerosInitializer),
  });
  const engine = createReferenceEngine();
  const executable = await engine.compile(graph, { weights: new Map([...weights, ...own]) });
  const { weight, bias } = await executable.run({});
  await engine.dispose();
  expect([...bias!.data]).toEqual([5, 6]);
  return Array.from(weight!.data, Number);
}

describe('a LoRA', () => {
  it.each(['peft', 'kohya'] as const)(
    'adds strength · alpha/rank · B·A, written and read as %s',
    async (layout) => {
      const { tensors, metadata } = formatLora(factors, { rank: 1, alpha: 2 }, layout);
      const lora = readLora(asWeights(tensors), metadata, 'a.safetensors');
      expect(await adapted(lora, 1)).toEqual([102, 104, 106, 120, 140, 160]);
      expect(await adapted(lora, 0.5)).toEqual([101, 102, 103, 110, 120, 130]);
      expect(await adapted(lora, 0)).toEqual([100, 100, 100, 100, 100, 100]);
    },
  );

  it('has the rank for its alpha unless the file, or its user, says otherwise', async () => {
    const { tensors } = formatLora(factors, { rank: 1, alpha: 2 }, 'peft');
    expect((await adapted(readLora(asWeights(tensors), {}, 'a'), 1))[0]).toBe(101);
    expect((await adapted(readLora(asWeights(tensors), {}, 'a', { alpha: 3 }), 1))[0]).toBe(103);
    const metadata = (settings: object) => ({ lora_adapter_metadata: JSON.stringify(settings) });
    const pattern = metadata({ 'unet.lora_alpha': 2, 'unet.alpha_pattern': { 'mid.fc': 7 } });
    expect((await adapted(readLora(asWeights(tensors), pattern, 'a'), 1))[0]).toBe(107);
  });

  it('divides by the root of the rank when it is rank-stabilised', async () => {
    const wide = new Map([
      ['mid.fc.lora_A.weight', tensor([4, 3], ...new Array<number>(12).fill(1))],
      ['mid.fc.lora_B.weight', tensor([2, 4], ...new Array<number>(8).fill(1))],
    ]);
    const { tensors } = formatLora(wide, { rank: 4, alpha: 4 }, 'peft');
    const scaled = async (settings: object) => {
      const metadata = { lora_adapter_metadata: JSON.stringify({ 'unet.lora_alpha': 4, ...settings }) };
      return (await adapted(readLora(asWeights(tensors), metadata, 'a'), 1))[0];
    };
    expect(await scaled({})).toBe(104);
    expect(await scaled({ 'unet.use_rslora': true })).toBe(108);
  });

  it('for another model is refused', async () => {
    const elsewhere = new Map([
      ['other.lora_A.weight', tensor([1, 3], 1, 2, 3)],
      ['other.lora_B.weight', tensor([2, 1], 1, 1)],
    ]);
    const { tensors, metadata } = formatLora(elsewhere, { rank: 1, alpha: 1 }, 'kohya');
    const lora = readLora(asWeights(tensors), metadata, 'other.safetensors');
    const { params, requireUsed } = withLoras(paramsFromWeights(asWeights(base)).params, 'unet', [
      { lora, strength: 1 },
    ]);
    params.weight('mid.fc.weight', [2, 3], zerosInitializer);
    expect(requireUsed).toThrow(InputError);
    expect(requireUsed).toThrow(/other\.safetensors does not fit.*1 of its 1 layers.*other/);
  });

  it('of other sizes is refused', async () => {
    const sizes = new Map([
      ['mid.fc.lora_A.weight', tensor([1, 4], 1, 2, 3, 4)],
      ['mid.fc.lora_B.weight', tensor([2, 1], 1, 1)],
    ]);
    const { tensors, metadata } = formatLora(sizes, { rank: 1, alpha: 1 }, 'peft');
    await expect(adapted(readLora(asWeights(tensors), metadata, 'a'), 1)).rejects.toThrow(
      /\[1, 4\].*\[2, 3\]/,
    );
  });

  it.each<[string, string[], object, RegExp]>([
    [
      'with tensors of other adapters',
      ['unet.mid.fc.hada_w1_a'],
      {},
      /"unet\.mid\.fc\.hada_w1_a" is not LoRA/,
    ],
    ['with one factor', ['unet.mid.fc.lora_A.weight'], {}, /mid\.fc has only one/],
    ['with DoRA', [], { 'unet.use_dora': true }, /use_dora is not supported/],
  ])('%s is refused', (_, names, settings, message) => {
    const weights = asWeights(new Map(names.map((name) => [name, tensor([1], 1)])));
    const read = () => readLora(weights, { lora_adapter_metadata: JSON.stringify(settings) }, 'file');
    expect(read).toThrow(InputError);
    expect(read).toThrow(message);
  });
});

describe('the layer of a LoRA', () => {
  const layerOf = (name: string) => {
    const parsed = parseLoraName(name);
    return parsed && [parsed.component, layerKey(parsed.component, parsed.layer), parsed.part];
  };
  const QUERY = 'mid_block_attentions_0_transformer_blocks_0_attn1_to_q';

  it.each<[string, string, string, string]>([
    ['lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.lora_up.weight', 'unet', QUERY, 'up'],
    ['lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q.alpha', 'unet', QUERY, 'alpha'],
    ['unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight', 'unet', QUERY, 'up'],
    ['unet.mid_block.attentions.0.transformer_blocks.0.attn1.to_q.lora.down.weight', 'unet', QUERY, 'down'],
    [
      'unet.mid_block.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.down.weight',
      'unet',
      QUERY,
      'down',
    ],
    [
      'unet.down_blocks.0.attentions.1.transformer_blocks.0.attn2.processor.to_out_lora.up.weight',
      'unet',
      'down_blocks_0_attentions_1_transformer_blocks_0_attn2_to_out_0',
      'up',
    ],
    [
      'text_encoder.text_model.encoder.layers.3.self_attn.to_out_lora.up.weight',
      'text_encoder',
      'text_model_encoder_layers_3_self_attn_out_proj',
      'up',
    ],
    [
      'text_encoder_2.text_model.encoder.layers.3.self_attn.q_proj.lora_linear_layer.down.weight',
      'text_encoder_2',
      'text_model_encoder_layers_3_self_attn_q_proj',
      'down',
    ],
    [
      'lora_te2_text_model_encoder_layers_0_mlp_fc1.alpha',
      'text_encoder_2',
      'text_model_encoder_layers_0_mlp_fc1',
      'alpha',
    ],
  ])('%s', (name, component, layer, part) => {
    expect(layerOf(name)).toEqual([component, layer, part]);
  });

  it.each([
    ['input_blocks_0_0', 'conv_in'],
    ['input_blocks_1_0_in_layers_2', 'down_blocks_0_resnets_0_conv1'],
    ['input_blocks_3_0_op', 'down_blocks_0_downsamplers_0_conv'],
    [
      'input_blocks_4_1_transformer_blocks_0_attn1_to_k',
      'down_blocks_1_attentions_0_transformer_blocks_0_attn1_to_k',
    ],
    ['input_blocks_8_1_proj_in', 'down_blocks_2_attentions_1_proj_in'],
    ['middle_block_0_emb_layers_1', 'mid_block_resnets_0_time_emb_proj'],
    ['middle_block_1_proj_out', 'mid_block_attentions_0_proj_out'],
    ['middle_block_2_out_layers_3', 'mid_block_resnets_1_conv2'],
    ['output_blocks_2_2_conv', 'up_blocks_0_upsamplers_0_conv'],
    [
      'output_blocks_5_1_transformer_blocks_1_ff_net_0_proj',
      'up_blocks_1_attentions_2_transformer_blocks_1_ff_net_0_proj',
    ],
    ['output_blocks_8_0_skip_connection', 'up_blocks_2_resnets_2_conv_shortcut'],
    ['label_emb_0_2', 'add_embedding_linear_2'],
    ['out_2', 'conv_out'],
  ])('in the original names: %s', (original, current) => {
    expect(layerOf(`lora_unet_${original}.lora_down.weight`)).toEqual(['unet', current, 'down']);
  });

  it.each([
    'lora_unet_a.dora_scale',
    'lora_unet_a.lora_mid.weight',
    'unet.a.hada_w1_a',
    'lora_transformer_a.alpha',
    'x',
  ])('is none: %s', (name) => {
    expect(parseLoraName(name)).toBeUndefined();
  });

  it('must belong to a network of the model', () => {
    const weights = asWeights(
      new Map(['down', 'up'].map((p) => [`lora_te2_mlp_fc1.lora_${p}.weight`, tensor([1], 1)])),
    );
    const loras = [{ lora: readLora(weights, {}, 'xl.safetensors'), strength: 1 }];
    expect(() => requireComponents(loras, ['unet', 'text_encoder', 'text_encoder_2'])).not.toThrow();
    expect(() => requireComponents(loras, ['unet', 'text_encoder'])).toThrow(InputError);
    expect(() => requireComponents(loras, ['unet', 'text_encoder'])).toThrow(
      /xl\.safetensors adapts the text_encoder_2.*mlp_fc1/,
    );
  });
});
