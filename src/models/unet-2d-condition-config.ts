/** The UNet's config: diffusers' field names and defaults, checked. */
import { type ActivationName, activationNames } from '../layers/activations.ts';
import { shown } from '../messages.ts';
import type { Range } from '../range.ts';
import { type ConfigFields, configFields } from './config.ts';
import { EPSILONS, KERNELS, LAYERS, SIDES, WIDTHS } from './limits.ts';
import { depthInMiddle, depthsDown, depthsUp } from './unet-2d-condition-layout.ts';

/** diffusers' blocks of a UNet's way down. */
export type DownBlockType = 'CrossAttnDownBlock2D' | 'DownBlock2D';
const downBlockTypes: readonly DownBlockType[] = ['CrossAttnDownBlock2D', 'DownBlock2D'];
/** diffusers' blocks of its way up. */
export type UpBlockType = 'CrossAttnUpBlock2D' | 'UpBlock2D';
const upBlockTypes: readonly UpBlockType[] = ['CrossAttnUpBlock2D', 'UpBlock2D'];
/** Transformer layers beside a block. */
const DEPTHS: Range = { least: 0, most: LAYERS.most };

/** diffusers' blocks between the two. */
export type MidBlockType = 'UNetMidBlock2DCrossAttn' | 'UNetMidBlock2D';
const midBlockTypes: readonly MidBlockType[] = ['UNetMidBlock2DCrossAttn', 'UNetMidBlock2D'];

/** What diffusers adds to the embedding of time. */
export type AdditionEmbedType = 'text' | 'text_time';
const additionEmbedTypes: readonly AdditionEmbedType[] = ['text', 'text_time'];

/** What `unet2DConditionConfig` returns; written back as JSON it is again a config that diffusers reads. */
export interface UNet2DConditionConfig {
  /** Latent size the model was trained at, in latent pixels, one number or height and width; not a limit. */
  readonly sample_size: number | readonly [number, number] | null;
  readonly in_channels: number;
  readonly out_channels: number;
  readonly center_input_sample: boolean;
  readonly flip_sin_to_cos: boolean;
  readonly freq_shift: number;
  /** From the highest resolution to the lowest; one entry for each of `block_out_channels`. */
  readonly down_block_types: readonly DownBlockType[];
  readonly mid_block_type: MidBlockType | null;
  /** From the lowest resolution to the highest. */
  readonly up_block_types: readonly UpBlockType[];
  readonly block_out_channels: readonly number[];
  /** Residual blocks at each resolution on the way down; on the way up there is one more. */
  readonly layers_per_block: number | readonly number[];
  readonly downsample_padding: number;
  readonly act_fn: ActivationName;
  readonly norm_num_groups: number;
  readonly norm_eps: number;
  readonly cross_attention_dim: number;
  /** For each resolution the layers of its transformers, or a list of them, one for each residual block. */
  readonly transformer_layers_per_block: readonly (number | readonly number[])[];
  /** The same for the way up, from the lowest resolution to the highest; null: as on the way down. */
  readonly reverse_transformer_layers_per_block: readonly (number | readonly number[])[] | null;
  /** In spite of its name the NUMBER of heads at each level: a slip of diffusers that checkpoints rely on. */
  readonly attention_head_dim: readonly number[];
  readonly use_linear_projection: boolean;
  /** What is added to the embedding of time: the pooled prompt and sizes (SDXL), or what is pooled of the states. */
  readonly addition_embed_type: AdditionEmbedType | null;
  /** Heads of the attention that pools the states, with addition_embed_type "text". */
  readonly addition_embed_type_num_heads: number;
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
  const widths = fields.integerPerLevel('cross_attention_dim', levels, 1280, WIDTHS);

  const config: UNet2DConditionConfig = {
    sample_size: fields.optionalSize('sample_size', SIDES),
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
    layers_per_block: oneForAll(fields.integerPerLevel('layers_per_block', levels, 2, LAYERS)),
    downsample_padding: fields.integer('downsample_padding', 1, { least: 0, most: 1 }),
    act_fn: fields.choice('act_fn', activationNames, 'silu'),
    norm_num_groups: fields.integer('norm_num_groups', 32, WIDTHS),
    norm_eps: fields.number('norm_eps', 1e-5, EPSILONS),
    cross_attention_dim: widths[0]!,
    transformer_layers_per_block: fields.integersPerLevel('transformer_layers_per_block', levels, 1, DEPTHS),
    reverse_transformer_layers_per_block: fields.isGiven('reverse_transformer_layers_per_block')
      ? fields.integersPerLevel('reverse_transformer_layers_per_block', levels, 1, DEPTHS)
      : null,
    attention_head_dim: fields.integerPerLevel('attention_head_dim', levels, 8, WIDTHS),
    use_linear_projection: fields.boolean('use_linear_projection', false),
    addition_embed_type: fields.choiceOrNull('addition_embed_type', additionEmbedTypes, null),
    addition_embed_type_num_heads: fields.integer('addition_embed_type_num_heads', 64, WIDTHS),
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
  fields.onlyPerLevel('only_cross_attention', levels, false);
  fields.only('mid_block_only_cross_attention', false);
  fields.only('dual_cross_attention', false);
  fields.only('attention_type', 'default');
  fields.only('cross_attention_norm', null);
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
  // Attention is computed in float32 whatever the weights are stored in.
  fields.ignore('upcast_attention');
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
  requireDepths(config, fields);
  // All levels that attend are given the same states.
  const [width = widths[0]!, ...others] = new Set(widths.filter((_, level) => attendsAt(config, level)));
  if (others.length > 0) fields.fail('cross_attention_dim', 'the same width at all levels that attend');
  // Of the sinusoids' frequencies, of which there are half as many as numbers, the last is divided by this.
  const frequencies = Math.min(channels[0]!, config.addition_time_embed_dim ?? channels[0]!) >> 1;
  if (frequencies <= config.freq_shift) {
    fields.fail(
      'freq_shift',
      'less than half of the first of block_out_channels and of addition_time_embed_dim',
    );
  }
  if (config.addition_embed_type === 'text' && width % config.addition_embed_type_num_heads !== 0) {
    fields.fail('addition_embed_type_num_heads', `a divisor of cross_attention_dim ${width}`);
  }
  if (config.addition_embed_type === 'text_time') {
    for (const name of ['addition_time_embed_dim', 'projection_class_embeddings_input_dim'] as const) {
      if (config[name] === null)
        fields.fail(name, 'a positive integer, because addition_embed_type is "text_time"');
    }
  }
  return { ...config, cross_attention_dim: width };
}

/** Lists of lists must have an entry for each residual block, and all of them together must not be too many. */
function requireDepths(config: UNet2DConditionConfig, fields: ConfigFields): void {
  const names = ['transformer_layers_per_block', 'reverse_transformer_layers_per_block'] as const;
  const { [names[0]]: down, [names[1]]: up } = config;
  const isNested = down.some((layers) => Array.isArray(layers));
  if (isNested && up === null) {
    // diffusers refuses it too: reversed, the lists would be too short.
    fields.fail(names[1], `a list, because ${names[0]} has lists for single levels`);
  }
  const levels = [...config.block_out_channels.keys()];
  const ways = [levels.map((level) => depthsDown(config, level)), levels.map((i) => depthsUp(config, i))];
  for (const [way, list] of [down, up].entries()) {
    list?.forEach((layers, i) => {
      const depths = ways[way]![i]!;
      if (!Array.isArray(layers) || depths[0] === undefined || layers.length === depths.length) return;
      fields.fail(
        names[way]!,
        `a list of ${depths.length} where level ${i} has a list: one for each of its blocks`,
      );
    });
  }
  const all = [...ways.flat(2), depthInMiddle(config)];
  const layers = all.reduce<number>((sum, depth = 0) => sum + depth, 0);
  fields.blocks(layers > all.length ? names[0] : 'layers_per_block', all.length + layers);
}

function oneForAll(list: readonly number[]): number | readonly number[] {
  return list.every((entry) => entry === list[0]) ? list[0]! : list;
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
