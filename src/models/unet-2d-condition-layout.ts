/** How many residual blocks a UNet has at each resolution, and how deep the transformers beside them are. */
import type { UNet2DConditionConfig } from './unet-2d-condition-config.ts';

type Layout = Pick<
  UNet2DConditionConfig,
  | 'block_out_channels'
  | 'layers_per_block'
  | 'down_block_types'
  | 'mid_block_type'
  | 'up_block_types'
  | 'transformer_layers_per_block'
  | 'reverse_transformer_layers_per_block'
>;

/** Transformer layers beside a residual block; undefined where there is no transformer. */
export type Depth = number | undefined;

/** One entry for each residual block on the way down at `level` (0: the highest resolution). */
export function depthsDown(config: Layout, level: number): readonly Depth[] {
  const { layers_per_block: blocks, transformer_layers_per_block: layers, down_block_types: types } = config;
  const count = typeof blocks === 'number' ? blocks : blocks[level]!;
  return perBlock(types[level] === 'CrossAttnDownBlock2D' ? layers[level] : undefined, count);
}

/** The same on the way up, where there is one more; `up` counts from the lowest resolution, as `up_block_types`. */
export function depthsUp(config: Layout, up: number): readonly Depth[] {
  const { layers_per_block: blocks, transformer_layers_per_block: layers, up_block_types: types } = config;
  const level = config.block_out_channels.length - 1 - up;
  const count = (typeof blocks === 'number' ? blocks : blocks[level]!) + 1;
  const depth = config.reverse_transformer_layers_per_block?.[up] ?? layers[level];
  return perBlock(types[up] === 'CrossAttnUpBlock2D' ? depth : undefined, count);
}

/** In the middle, which has a single transformer: the first entry where the lowest resolution has a list. */
export function depthInMiddle({ mid_block_type, transformer_layers_per_block: layers }: Layout): Depth {
  if (mid_block_type !== 'UNetMidBlock2DCrossAttn') return undefined;
  return [layers.at(-1)!].flat()[0];
}

function perBlock(depth: number | readonly number[] | undefined, count: number): readonly Depth[] {
  return Array.from({ length: count }, (_, i) => (Array.isArray(depth) ? depth[i] : (depth as Depth)));
}
