/**
 * The UNet of a single-file checkpoint: the names of the original code (CompVis' `openaimodel.py`) to those of
 * diffusers, and the configuration from the tensors' shapes. As diffusers' `convert_ldm_unet_checkpoint`, without
 * its tables: the blocks are found by walking along them.
 */
import { InputError } from '../../errors.ts';
import type { Weights } from '../weights.ts';
import { renamed, type Sizes, sizesOf } from './names.ts';

/** One resolution on the way down or up, as prefixes of the original names. */
interface Level {
  readonly resnets: readonly string[];
  /** Beside each resnet; undefined where there is none. */
  readonly attentions: readonly (string | undefined)[];
  readonly resampler: string | undefined;
}

interface Blocks {
  readonly down: readonly Level[];
  readonly up: readonly Level[];
}

/** What the shapes of a UNet's weights do not tell. */
export interface UNetTraining {
  /** Side of the latents it was trained on. */
  readonly sampleSize: number;
  /** Width of the pooled prompt that joins the time embedding (SDXL). */
  readonly pooledWidth?: number | undefined;
}

const FIXED_NAMES: ReadonlyMap<string, string> = new Map([
  ['time_embed.0', 'time_embedding.linear_1'],
  ['time_embed.2', 'time_embedding.linear_2'],
  ['time_embed.cond_proj', 'time_embedding.cond_proj'],
  ['cond_proj', 'time_embedding.cond_proj'],
  ['label_emb.0.0', 'add_embedding.linear_1'],
  ['label_emb.0.2', 'add_embedding.linear_2'],
  ['input_blocks.0.0', 'conv_in'],
  ['middle_block.0', 'mid_block.resnets.0'],
  ['middle_block.1', 'mid_block.attentions.0'],
  ['middle_block.2', 'mid_block.resnets.1'],
  ['out.0', 'conv_norm_out'],
  ['out.2', 'conv_out'],
]);

const RESNET_NAMES: ReadonlyMap<string, string> = new Map([
  ['in_layers.0', 'norm1'],
  ['in_layers.2', 'conv1'],
  ['emb_layers.1', 'time_emb_proj'],
  ['out_layers.0', 'norm2'],
  ['out_layers.3', 'conv2'],
  ['skip_connection', 'conv_shortcut'],
]);

/** diffusers' names. weights: those of the UNet, without their prefix. What is not known keeps its name. */
export function unetWeights(weights: Weights): Weights {
  const { down, up } = findBlocks(weights);
  const places = new Map(FIXED_NAMES);
  for (const [side, levels] of [
    ['down', down],
    ['up', up],
  ] as const) {
    levels.forEach(({ resnets, attentions, resampler }, level) => {
      const block = `${side}_blocks.${level}`;
      resnets.forEach((prefix, i) => {
        places.set(prefix, `${block}.resnets.${i}`);
      });
      attentions.forEach((prefix, i) => {
        if (prefix !== undefined) places.set(prefix, `${block}.attentions.${i}`);
      });
      if (resampler !== undefined) places.set(resampler, `${block}.${side}samplers.0.conv`);
    });
  }
  return renamed(weights, (name) => {
    // Longest first, because the place of a block begins the places of what it holds.
    for (let end = name.lastIndexOf('.'); end > 0; end = name.lastIndexOf('.', end - 1)) {
      const place = places.get(name.slice(0, end));
      if (place === undefined) continue;
      const rest = name.slice(end + 1);
      return `${place}.${place.includes('.resnets.') ? resnetPart(rest) : rest}`;
    }
    return name;
  });
}

function resnetPart(name: string): string {
  const layer = name.slice(0, name.lastIndexOf('.'));
  return (RESNET_NAMES.get(layer) ?? layer) + name.slice(layer.length);
}

/**
 * A diffusers config. weights: as for `unetWeights`; `from` names them in errors. Shapes do not tell how many heads
 * the attention has: the models with linear projections (SD 2, SDXL) have 64 channels to a head, SD 1 has 8 heads.
 * Throws InputError for a UNet that diffusers' configuration cannot describe.
 */
export function unetConfig(
  weights: Weights,
  from: string,
  { sampleSize, pooledWidth }: UNetTraining,
): Record<string, unknown> {
  const sizes = sizesOf(weights, from);
  const { down, up } = findBlocks(weights);
  const levels = down.length;
  const blocks = down.map(({ resnets }) => resnets.length);
  const even =
    up.length === levels && up.every(({ resnets }, i) => resnets.length === blocks[levels - 1 - i]! + 1);
  if (!even) {
    throw new InputError(
      `${from} is built in a way that is not supported: ${blocks} residual blocks on the way down, ${up.map((level) => level.resnets.length)} on the way up`,
      { code: 'unsupported' },
    );
  }
  const depths = down.map((level) => transformerLayers(level, sizes, from));
  const upDepths = up.map((level) => transformerLayers(level, sizes, from));
  const midDepth = sizes.count((i) => `middle_block.1.transformer_blocks.${i}.norm1.weight`);
  const channels = down.map(({ resnets }) => sizes.size(`${resnets[0]}.out_layers.3.weight`, 0));
  const transformer = [...down, ...up]
    .flatMap(({ attentions }) => attentions)
    .find((name) => name !== undefined);
  const first = transformer ?? 'middle_block.1';
  const linear = weights.get(`${first}.proj_in.weight`)?.shape.length === 2;
  const guidance = unetWeights(weights).get('time_embedding.cond_proj.weight');
  return {
    _class_name: 'UNet2DConditionModel',
    sample_size: sampleSize,
    in_channels: sizes.size('input_blocks.0.0.weight', 1),
    out_channels: sizes.size('out.2.weight', 0),
    block_out_channels: channels,
    layers_per_block: oneForAll(blocks),
    down_block_types: depths.map((depth) => (depth ? 'CrossAttnDownBlock2D' : 'DownBlock2D')),
    mid_block_type: midBlockType(weights, midDepth),
    up_block_types: upDepths.map((depth) => (depth ? 'CrossAttnUpBlock2D' : 'UpBlock2D')),
    ...transformerFields(depths, midDepth, upDepths, from),
    cross_attention_dim: sizes.size(`${first}.transformer_blocks.0.attn2.to_k.weight`, 1),
    attention_head_dim: linear ? channels.map((count) => headsOf(count, from)) : 8,
    use_linear_projection: linear,
    time_cond_proj_dim: guidance?.shape[1] ?? null,
    ...additionalConditions(weights, sizes, from, pooledWidth),
  };
}

/** Heads of 64 channels each. */
export function headsOf(channels: number, from: string): number {
  if (channels % 64 === 0) return channels / 64;
  throw new InputError(
    `${from} has ${channels} channels, which are not heads of 64; name a folder with the model's config files`,
  );
}

/** SDXL adds the pooled prompt and six numbers about the picture's size to the time embedding. */
function additionalConditions(
  weights: Weights,
  sizes: Sizes,
  from: string,
  pooledWidth: number | undefined,
): Record<string, unknown> {
  if (!weights.has('label_emb.0.0.weight')) return {};
  const width = sizes.size('label_emb.0.0.weight', 1);
  const perNumber = pooledWidth === undefined ? 0 : (width - pooledWidth) / 6;
  if (!Number.isInteger(perNumber) || perNumber <= 0) {
    throw new InputError(
      `${from} takes ${width} features beside the prompt; supported are SDXL's pooled prompt and six sizes`,
      { code: 'unsupported' },
    );
  }
  return {
    addition_embed_type: 'text_time',
    addition_time_embed_dim: perNumber,
    projection_class_embeddings_input_dim: width,
  };
}

type Depths = number | readonly number[];

/** Layers of the transformers of one level, one number where they are all alike; undefined where it has none. */
function transformerLayers({ resnets, attentions }: Level, sizes: Sizes, from: string): Depths | undefined {
  const present = attentions.filter((name) => name !== undefined);
  if (present.length === 0) return undefined;
  const depths = present.map((name) => sizes.count((i) => `${name}.transformer_blocks.${i}.norm1.weight`));
  if (present.length === resnets.length && depths.every((depth) => depth > 0)) return oneForAll(depths);
  throw new InputError(
    `${from} has ${present.length} transformers, of ${depths} layers, beside ${resnets.length} residual blocks at one level; supported is one beside each`,
    { code: 'unsupported' },
  );
}

/** diffusers' fields. down: from the highest resolution on; up: from the lowest on. */
function transformerFields(
  down: readonly (Depths | undefined)[],
  middle: number,
  up: readonly (Depths | undefined)[],
  from: string,
): Record<string, unknown> {
  const last = down.length - 1;
  // Where a way has no transformers, the depth of the other one, or of the middle, is as good as any.
  const layers = down.map((depths, level) => {
    const other = up[last - level];
    return depths ?? ((level === last && middle) || (typeof other === 'number' ? other : 1));
  });
  const first = [layers[last]!].flat()[0];
  if (middle > 0 && first !== middle) {
    throw new InputError(
      `${from} has a transformer of ${middle} layers in the middle and of ${first} before it; supported is the same depth`,
      { code: 'unsupported' },
    );
  }
  const reverse = up.map((depths, i) => depths ?? [layers[last - i]!].flat()[0]!);
  const isAlike = reverse.every((depths, i) => typeof depths === 'number' && depths === layers[last - i]);
  return {
    transformer_layers_per_block: layers,
    ...(!isAlike && { reverse_transformer_layers_per_block: reverse }),
  };
}

function midBlockType(weights: Weights, depth: number): string | null {
  if (depth > 0) return 'UNetMidBlock2DCrossAttn';
  return weights.has('middle_block.0.in_layers.0.weight') ? 'UNetMidBlock2D' : null;
}

function oneForAll(list: readonly number[]): Depths {
  return list.every((entry) => entry === list[0]) ? list[0]! : list;
}

/** Down: a level ends with its downsampler. Up: an upsampler stands in the last of its level's blocks. */
function findBlocks(weights: Weights): Blocks {
  const has = (name: string) => weights.has(`${name}.weight`);
  const found: Record<'input_blocks' | 'output_blocks', Level[]> = { input_blocks: [], output_blocks: [] };
  for (const [side, levels] of Object.entries(found)) {
    let resnets: string[] = [];
    let attentions: (string | undefined)[] = [];
    const close = (resampler?: string) => {
      if (resnets.length > 0) levels.push({ resnets, attentions, resampler });
      resnets = [];
      attentions = [];
    };
    for (let i = side === 'input_blocks' ? 1 : 0; ; i++) {
      const block = `${side}.${i}`;
      if (has(`${block}.0.op`)) {
        close(`${block}.0.op`);
      } else if (has(`${block}.0.in_layers.0`)) {
        resnets.push(`${block}.0`);
        attentions.push(has(`${block}.1.norm`) ? `${block}.1` : undefined);
        const upsampler = [`${block}.1.conv`, `${block}.2.conv`].find(has);
        if (upsampler !== undefined) close(upsampler);
      } else {
        close();
        break;
      }
    }
  }
  return { down: found.input_blocks, up: found.output_blocks };
}
