import { describe, expect, it } from 'vitest';
import { kohyaLora } from '../../tests/kohya-lora.ts';
import { createReferenceEngine } from '../engines/reference/engine.ts';
import { InputError } from '../errors.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import { zerosInitializer } from '../layers/initializers.ts';
import { formatLora } from './format-lora.ts';
import { requireComponents, withLoras } from './lora.ts';
import { readLora } from './lora-file.ts';
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
  it.each([
    ['peft', formatLora(factors, { rank: 1, alpha: 2 })],
    ['kohya', { tensors: kohyaLora(factors, { alpha: 2 }), metadata: {} }],
  ])('adds strength · alpha/rank · B·A, in the layout of %s', async (_, { tensors, metadata }) => {
    const lora = readLora(asWeights(tensors), metadata, 'a.safetensors');
    expect(await adapted(lora, 1)).toEqual([102, 104, 106, 120, 140, 160]);
    expect(await adapted(lora, 0.5)).toEqual([101, 102, 103, 110, 120, 130]);
    expect(await adapted(lora, 0)).toEqual([100, 100, 100, 100, 100, 100]);
  });

  it('has the rank for its alpha unless the file, or its user, says otherwise', async () => {
    const { tensors } = formatLora(factors, { rank: 1, alpha: 2 });
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
    const { tensors } = formatLora(wide, { rank: 4, alpha: 4 });
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
    const lora = readLora(asWeights(kohyaLora(elsewhere, { alpha: 1 })), {}, 'other.safetensors');
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
    const { tensors, metadata } = formatLora(sizes, { rank: 1, alpha: 1 });
    await expect(adapted(readLora(asWeights(tensors), metadata, 'a'), 1)).rejects.toThrow(
      /\[1, 4\].*\[2, 3\]/,
    );
  });

  it.each<[string, string[], RegExp]>([
    ['other adapters', ['unet.mid.fc.hada_w1_a'], /"unet\.mid\.fc\.hada_w1_a" belongs to LoHa/],
    ['LoKr', ['lora_unet_mid_fc.lokr_w1'], /belongs to LoKr/],
    ["kohya's DoRA", ['lora_unet_mid_fc.dora_scale'], /belongs to DoRA/],
    ["peft's DoRA", ['base_model.model.mid_block.fc.lora_magnitude_vector.weight'], /belongs to DoRA/],
    ['a third factor', ['lora_unet_mid_fc.lora_mid.weight'], /belongs to a LoCon with a third factor/],
    ['biases', ['unet.mid.fc.lora_B.bias'], /belongs to a LoRA with biases/],
    ['an embedding', ['text_model.embeddings.token_embedding.lora_embedding_A'], /a LoRA on an embedding/],
    ['a textual inversion', ['bundle_emb.cat.string_to_param.*'], /a textual inversion/],
    ['a whole weight', ['base_model.model.conv_in.weight'], /a whole weight beside the LoRA/],
    ['a transformer', ['transformer.blocks.0.attn.to_q.lora_A.weight'], /of a transformer such as/],
    ['nothing known', ['mid.fc.lora_A.weight'], /"mid\.fc\.lora_A\.weight" is not LoRA as/],
    ['one factor', ['unet.mid.fc.lora_A.weight'], /mid\.fc has only one of its two factors/],
    [
      'several adapters',
      ['unet.mid.fc.lora_A.one.weight', 'unet.mid.fc.lora_A.two.weight'],
      /several adapters \(one, two\)/,
    ],
    [
      'a factor twice',
      ['unet.mid.fc.lora_A.weight', 'lora_unet_mid_fc.lora_down.weight'],
      /"unet\.mid\.fc\.lora_A\.weight" and "lora_unet_mid_fc\.lora_down\.weight" are the same factor/,
    ],
    ['nothing', [], /holds no tensors/],
  ])('with tensors of %s is refused', (_, names, message) => {
    const weights = asWeights(new Map(names.map((name) => [name, tensor([1], 1)])));
    const read = () => readLora(weights, {}, 'a.safetensors');
    expect(read).toThrow(InputError);
    expect(read).toThrow(message);
    expect(read).toThrow(/^a\.safetensors/);
  });

  it('is refused, with the file, for what its tensors are stored as', () => {
    const pair = (down: HostTensor, alpha: HostTensor) =>
      asWeights(
        new Map([
          ['lora_unet_fc.lora_down.weight', down],
          ['lora_unet_fc.lora_up.weight', tensor([1, 1], 1)],
          ['lora_unet_fc.alpha', alpha],
        ]),
      );
    const read = (weights: Weights) => () => readLora(weights, {}, 'a.safetensors');
    const [factor, one] = [tensor([1, 1], 1), tensor([], 1)];
    expect(read(pair(factor, one))).not.toThrow();
    expect(read(pair(hostTensor(Int8Array.of(1), [1, 1]), one))).toThrow(
      /^a\.safetensors: "lora_unet_fc\.lora_down\.weight" is stored as int8; quantised LoRAs/,
    );
    expect(read(pair(factor, tensor([2], 1, 1)))).toThrow(
      /^a\.safetensors: "lora_unet_fc\.alpha" has the shape \[2\]; expected one number/,
    );
    expect(read(pair(factor, hostTensor(Uint8Array.of(1), [], 'bool')))).toThrow(
      /is stored as bool; expected/,
    );
  });

  it('says where its configuration has another rank than its tensors', () => {
    const { tensors, metadata } = formatLora(factors, { rank: 4, alpha: 4 });
    const { warnings, layers } = readLora(asWeights(tensors), metadata, 'a.safetensors');
    expect(warnings).toEqual([
      'a.safetensors, lora_adapter_metadata says another rank than the tensors have, which counts, for mid.fc of the unet',
    ]);
    expect(layers.unet.get('mid_fc')).toMatchObject({ alpha: 4 });
  });
});

describe('the layer of a LoRA', () => {
  const layerOf = (name: string) => {
    const parsed = parseLoraName(name);
    return parsed && [parsed.component, layerKey(parsed.component, parsed.layer), parsed.part];
  };
  const QUERY = 'mid_block_attentions_0_transformer_blocks_0_attn1_to_q';

  const UP_QUERY = 'up_blocks_1_attentions_0_transformer_blocks_0_attn1_to_q';

  it.each<[string, string, string, string]>([
    [
      'unet.base_model.model.up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight',
      'unet',
      UP_QUERY,
      'down',
    ],
    [
      'base_model.model.up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_B.weight',
      'unet',
      UP_QUERY,
      'up',
    ],
    ['up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight', 'unet', UP_QUERY, 'down'],
    ['up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora.up.weight', 'unet', UP_QUERY, 'up'],
    [
      'up_blocks.1.attentions.0.transformer_blocks.0.attn1.processor.to_q_lora.up.weight',
      'unet',
      UP_QUERY,
      'up',
    ],
    [
      'unet.up_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.default_0.weight',
      'unet',
      UP_QUERY,
      'down',
    ],
    ['conv_in.lora_A.weight', 'unet', 'conv_in', 'down'],
    ['unet.mid_block.resnets.0.conv1.alpha', 'unet', 'mid_block_resnets_0_conv1', 'alpha'],
    [
      'base_model.model.text_model.encoder.layers.3.mlp.fc1.lora_A.weight',
      'text_encoder',
      'text_model_encoder_layers_3_mlp_fc1',
      'down',
    ],
    [
      'base_model.model.encoder.layers.3.mlp.fc1.lora_A.weight',
      'text_encoder',
      'text_model_encoder_layers_3_mlp_fc1',
      'down',
    ],
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
    'encoder.down_blocks.0.resnets.0.conv1.lora_A.weight',
    'alpha',
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
