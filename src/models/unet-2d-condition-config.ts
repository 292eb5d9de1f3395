/** The UNet's config: diffusers' field names and defaults, checked. */
import { type ActivationName, activationNames } from '../layers/activations.ts';
import { shown } from '../messages.ts';
import { configFields } from './config.ts';
import { EPSILONS, KERNELS, LAYERS, SIDES, WIDTHS } from './limits.ts';

const downBlockTypes = ['CrossAttnDownBlock2D', 'DownBlock2D'] as const;
const upBlockTypes = ['CrossAttnUpBlock2D', 'UpBlock2D'] as const;
const midBlockTypes = ['UNetMidBlock2DCrossAttn', 'UNetMidBlock2D'] as const;

/** What `unet2DConditionConfig` returns; written back as JSON it is again a config that diffusers reads. */
export interface UNet2DConditionConfig {
  /** Latent size the model was trained at, in latent pixels; not a limit. */
  readonly sample_size: number | null;
  readonly in_channels: number;
  readonly out_channels: number;
  readonly center_input_sample: boolean;
  readonly flip_sin_to_cos: boolean;
  readonly freq_shift: number;
  /** From the highest resolution to the lowest; one entry for each of `block_out_channels`. */
  readonly down_block_types: readonly (typeof downBlockTypes)[number][];
  readonly mid_block_type: (typeof midBlockTypes)[number] | null;
  /** From the lowest resolution to the highest. */
  readonly up_block_types: readonly (typeof upBlockTypes)[number][];
  readonly block_out_channels: readonly number[];
  readonly layers_per_block: number;
  readonly downsample_padding: number;
  readonly act_fn: ActivationName;
  readonly norm_num_groups: number;
  readonly norm_eps: number;
  readonly cross_attention_dim: number;
  readonly transformer_layers_per_block: readonly number[];
  /** In spite of its name the NUMBER of heads at each level: a slip of diffusers that checkpoints rely on. */
  readonly attention_head_dim: readonly number[];
  readonly use_linear_projection: boolean;
  readonly addition_embed_type: 'text_time' | null;
  readonly addition_time_embed_dim: number | null;
  readonly projection_class_embeddings_input_dim: number | null;
  readonly time_embedding_dim: number | null;
  /** Width of the guidance embedding; null: the model takes none. */
  readonly time_cond_proj_dim: number | null;
  readonly conv_in_kernel: number;
  readonly conv_out_kernel: number;
}

/** Checks a config.json. Throws InputError naming the field that is wrong or not supported. */
export function unet2DConditionConfig(json: unknown): UNet2DConditionConfig {
  const fields = configFields('UNet2DConditionModel', json);
  const channels = fields.integers('block_out_channels', [320, 640, 1280, 1280], WIDTHS);
  const levels = channels.length;

  const config: UNet2DConditionConfig = {
    sample_size: fields.optionalInteger('sample_size', SIDES),
    in_channels: fields.integer('in_channels', 4, WIDTHS),
    out_channels: fields.integer('out_channels', 4, WIDTHS),
    center_input_sample: fields.boolean('center_input_sample', false),
    flip_sin_to_cos: fields.boolean('flip_sin_to_cos', true),
    freq_shift: fields.number('freq_shift', 0, { least: 0, most: 1 }),
    down_block_types: fields.choices('down_block_types', downBlockTypes, [
      'CrossAttnDownBlock2D',
      'CrossAttnDownBlock2D',
      'CrossAttnDownBlock2D',
      'DownBlock2D',
    ]),
    mid_block_type: fields.choiceOrNull('mid_block_type', midBlockTypes, 'UNetMidBlock2DCrossAttn'),
    up_block_types: fields.choices('up_block_types', upBlockTypes, [
      'UpBlock2D',
      'CrossAttnUpBlock2D',
      'CrossAttnUpBlock2D',
      'CrossAttnUpBlock2D',
    ]),
    block_out_channels: channels,
    layers_per_block: fields.integer('layers_per_block', 2, LAYERS),
    downsample_padding: fields.integer('downsample_padding', 1, { least: 0, most: 1 }),
    act_fn: fields.choice('act_fn', activationNames, 'silu'),
    norm_num_groups: fields.integer('norm_num_groups', 32, WIDTHS),
    norm_eps: fields.number('norm_eps', 1e-5, EPSILONS),
    cross_attention_dim: fields.integer('cross_attention_dim', 1280, WIDTHS),
    transformer_layers_per_block: fields.integerPerLevel('transformer_layers_per_block', levels, 1, LAYERS),
    attention_head_dim: fields.integerPerLevel('attention_head_dim', levels, 8, WIDTHS),
    use_linear_projection: fields.boolean('use_linear_projection', false),
    addition_embed_type: fields.choiceOrNull('addition_embed_type', ['text_time'], null),
    addition_time_embed_dim: fields.optionalInteger('addition_time_embed_dim', WIDTHS),
    projection_class_embeddings_input_dim: fields.optionalInteger(
      'projection_class_embeddings_input_dim',
      WIDTHS,
    ),
    time_embedding_dim: fields.optionalInteger('time_embedding_dim', WIDTHS),
    time_cond_proj_dim: fields.optionalInteger('time_cond_proj_dim', WIDTHS),
    conv_in_kernel: fields.integer('conv_in_kernel', 3, KERNELS),
    conv_out_kernel: fields.integer('conv_out_kernel', 3, KERNELS),
  };

  fields.only('num_attention_heads', null);
  fields.only('only_cross_attention', false);
  fields.only('mid_block_only_cross_attention', false);
  fields.only('dual_cross_attention', false);
  fields.only('attention_type', 'default');
  fields.only('cross_attention_norm', null);
  fields.only('reverse_transformer_layers_per_block', null);
  fields.only('encoder_hid_dim', null);
  fields.only('encoder_hid_dim_type', null);
  fields.only('class_embed_type', null);
  fields.only('num_class_embeds', null);
  fields.only('class_embeddings_concat', false);
  fields.only('time_embedding_type', 'positional');
  fields.only('time_embedding_act_fn', null);
  fields.only('timestep_post_act', null);
  fields.only('resnet_time_scale_shift', 'default');
  fields.only('resnet_skip_time_act', false);
  fields.only('resnet_out_scale_factor', 1);
  fields.only('mid_block_scale_factor', 1);
  fields.only('dropout', 0);
  // Attention is computed in float32 whatever the weights are stored in; the number of heads is read by
  // addition_embed_type "text", which is not among the supported ones.
  fields.ignore('upcast_attention', 'addition_embed_type_num_heads');
  fields.finish();

  const perLevel = `${levels} entries, one for each of block_out_channels`;
  if (config.down_block_types.length !== levels) fields.fail('down_block_types', perLevel);
  if (config.up_block_types.length !== levels) fields.fail('up_block_types', perLevel);
  channels.forEach((count, level) => {
    if (count % config.norm_num_groups !== 0) {
      fields.fail('norm_num_groups', `a divisor of each of block_out_channels ${shown(channels)}`);
    }
    if (count % config.attention_head_dim[level]! !== 0 && attendsAt(config, level)) {
      fields.fail('attention_head_dim', `numbers of heads that divide block_out_channels ${shown(channels)}`);
    }
  });
  for (const name of ['conv_in_kernel', 'conv_out_kernel'] as const) {
    if (config[name] % 2 === 0) fields.fail(name, 'an odd number: only those keep the size');
  }
  const mostLayers = Math.max(...config.transformer_layers_per_block);
  fields.blocks(
    mostLayers > config.layers_per_block ? 'transformer_layers_per_block' : 'layers_per_block',
    blocksOf(config),
  );
  // Of the sinusoids' frequencies, of which there are half as many as numbers, the last is divided by this.
  const frequencies = Math.min(channels[0]!, config.addition_time_embed_dim ?? channels[0]!) >> 1;
  if (frequencies <= config.freq_shift) {
    fields.fail(
      'freq_shift',
      'less than half of the first of block_out_channels and of addition_time_embed_dim',
    );
  }
  if (config.addition_embed_type !== null) {
    for (const name of ['addition_time_embed_dim', 'projection_class_embeddings_input_dim'] as const) {
      if (config[name] === null)
        fields.fail(name, 'a positive integer, because addition_embed_type is "text_time"');
    }
  }
  return config;
}

/** Residual blocks and transformer layers, about. */
function blocksOf(config: UNet2DConditionConfig): number {
  const { layers_per_block: blocks, transformer_layers_per_block: layers } = config;
  return layers.reduce(
    (sum, count, level) => sum + (2 * blocks + 1) * (1 + (attendsAt(config, level) ? count : 0)),
    0,
  );
}

/** Whether the blocks of this level (0: the highest resolution) have transformers. */
function attendsAt(config: UNet2DConditionConfig, level: number): boolean {
  const last = config.block_out_channels.length - 1;
  return (
    config.down_block_types[level] === 'CrossAttnDownBlock2D' ||
    config.up_block_types[last - level] === 'CrossAttnUpBlock2D' ||
    (level === last && config.mid_block_type === 'UNetMidBlock2DCrossAttn')
  );
}
