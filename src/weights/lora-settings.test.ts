import { describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import type { JsonObject } from '../files/json.ts';
import { readNetworkSettings } from './lora-settings.ts';

const layers = ['mid_block.attn.to_q', 'mid_block.attn.to_k'];
const read = (json: JsonObject, component = 'unet') =>
  readNetworkSettings({ from: 'adapter_config.json', json }, component, layers);

/** peft 0.21's configuration, as it is written when nothing but ranks and alphas is set. */
const written = {
  alora_invocation_tokens: null,
  alpha_pattern: {},
  arrow_config: null,
  auto_mapping: null,
  base_model_name_or_path: null,
  bias: 'none',
  corda_config: null,
  ensure_weight_tying: false,
  eva_config: null,
  exclude_modules: null,
  fan_in_fan_out: true,
  inference_mode: true,
  init_lora_weights: true,
  kasa_config: null,
  layer_replication: null,
  layers_pattern: null,
  layers_to_transform: null,
  loftq_config: {},
  lora_alpha: 6,
  lora_bias: false,
  lora_dropout: 0.1,
  lora_ga_config: null,
  megatron_config: null,
  megatron_core: 'megatron.core',
  modules_to_save: null,
  monteclora_config: null,
  peft_type: 'LORA',
  peft_version: '0.21.2',
  qalora_group_size: 16,
  r: 4,
  rank_pattern: {},
  revision: null,
  target_modules: ['to_q'],
  target_parameters: null,
  task_type: null,
  trainable_token_indices: null,
  use_bdlora: null,
  use_dora: false,
  use_qalora: false,
  use_rslora: false,
  velora_config: null,
};

describe("peft's configuration", () => {
  it('says alphas and ranks of layers, in general and by patterns', () => {
    const settings = read({ ...written, alpha_pattern: { '.*_k': 2.5 }, rank_pattern: { to_q: 8 } });
    expect(settings).toEqual({
      alphas: new Map([
        [layers[0], 6],
        [layers[1], 2.5],
      ]),
      ranks: new Map([
        [layers[0], 8],
        [layers[1], 4],
      ]),
      rankStabilized: false,
      warnings: [],
    });
  });

  it("has a network's name before its fields where diffusers keeps it", () => {
    const json = { 'unet.lora_alpha': 3, 'unet.use_rslora': true, 'text_encoder.lora_alpha': 5 };
    expect(read(json)).toMatchObject({
      alphas: new Map(layers.map((layer) => [layer, 3])),
      rankStabilized: true,
    });
    expect(read(json, 'text_encoder')).toMatchObject({ rankStabilized: false });
    expect(read(json, 'text_encoder').alphas.get(layers[0]!)).toBe(5);
    expect(read({}).alphas.size).toBe(0);
  });

  it.each<[JsonObject, RegExp]>([
    [{ use_dora: true }, /use_dora is true/],
    [{ 'unet.use_dora': true }, /use_dora is true/],
    [{ lora_bias: true }, /lora_bias is true/],
    [{ bias: 'all' }, /bias is "all"/],
    [{ bias: 'lora_only' }, /bias is "lora_only"/],
    [{ modules_to_save: ['conv_in'] }, /modules_to_save is \["conv_in"\]/],
    [{ target_parameters: ['experts.w'] }, /target_parameters is \["experts\.w"\]/],
    [{ trainable_token_indices: [1] }, /trainable_token_indices/],
    [{ layer_replication: [[0, 4]] }, /layer_replication/],
    [{ init_lora_weights: 'pissa_niter_4' }, /init_lora_weights is "pissa_niter_4"/],
    [{ init_lora_weights: 'olora' }, /olora/],
    [{ peft_type: 'LOHA' }, /peft_type is "LOHA"/],
  ])('is refused with %j', (json, message) => {
    expect(() => read({ ...written, ...json })).toThrow(InputError);
    expect(() => read({ ...written, ...json })).toThrow(message);
    expect(() => read({ ...written, ...json })).toThrow(/^adapter_config\.json: .* not supported$/);
  });

  it.each<[JsonObject]>([
    [{ modules_to_save: [] }],
    [{ bias: null }],
    [{ init_lora_weights: 'gaussian' }],
    [{ init_lora_weights: 'eva' }],
    [{ init_lora_weights: 'orthogonal' }],
    [{ runtime_config: { ephemeral_gpu_offload: true } }],
  ])('may say what changes nothing here: %j', (json) => {
    expect(read({ ...written, ...json }).warnings).toEqual([]);
  });

  it.each<[JsonObject, RegExp]>([
    [{ lora_alpha: '8' }, /lora_alpha is "8"; expected a number/],
    [{ r: [4] }, /: r is \[4\]; expected a number/],
    [{ alpha_pattern: ['to_q'] }, /alpha_pattern is \["to_q"\]; expected an object/],
    [{ alpha_pattern: { to_q: '8' } }, /alpha_pattern of "to_q" is "8"; expected a number/],
    [{ lora_alpha: Number.NaN }, /lora_alpha is NaN; expected a number/],
  ])('is refused with values of other types: %j', (json, message) => {
    expect(() => read(json)).toThrow(InputError);
    expect(() => read(json)).toThrow(message);
  });

  it('says what of it holds for nothing, or is unknown', () => {
    const patterns = { alpha_pattern: { to_v: 2, '.*': 3, to_q: 4 }, rank_pattern: { to_out: 8 } };
    expect(read({ ...written, ...patterns, use_telepathy: true, new_field: null }).warnings).toEqual([
      'adapter_config.json: use_telepathy is unknown here, and passed over',
      'adapter_config.json: of alpha_pattern, to_v, to_q holds for no layer of the unet: it fits none, or an earlier one fits first',
      'adapter_config.json: of rank_pattern, to_out holds for no layer of the unet: it fits none, or an earlier one fits first',
    ]);
  });
});
