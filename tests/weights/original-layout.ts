/**
 * The tensors of single-file checkpoints at full size, shapes without values: what the constructors of the original
 * code (CompVis' openaimodel.py and model.py, OpenCLIP's transformer.py) make of their settings.
 */
import type { ByteSource } from '../../src/files/files.ts';
import type { Weight, Weights } from '../../src/weights/weights.ts';

export type Shapes = Map<string, readonly number[]>;

export interface OriginalUNet {
  readonly inChannels: number;
  readonly modelChannels: number;
  readonly channelMult: readonly number[];
  /** Transformer layers at each resolution, 0 for none, and in the middle, which -1 leaves with one residual block. */
  readonly depths: readonly number[];
  readonly midDepth: number;
  /** The same for each block on the way up, from the lowest resolution; by default as on the way down. */
  readonly upDepths?: readonly (readonly [number, number, number])[];
  readonly contextDim: number;
  readonly linear: boolean;
  readonly admInChannels?: number;
  readonly condProj?: number;
}

/** Weight and bias. */
function layer(shapes: Shapes, name: string, weight: readonly number[], bias = true): void {
  shapes.set(`${name}.weight`, weight);
  if (bias) shapes.set(`${name}.bias`, [weight[0]!]);
}

export function originalUNet(settings: OriginalUNet): Shapes {
  const { inChannels, modelChannels: base, channelMult, depths, midDepth, contextDim } = settings;
  const shapes: Shapes = new Map();
  const embed = 4 * base;
  const put = (name: string, weight: readonly number[], bias?: boolean) =>
    layer(shapes, `model.diffusion_model.${name}`, weight, bias);

  const resBlock = (name: string, from: number, to: number) => {
    put(`${name}.in_layers.0`, [from]);
    put(`${name}.in_layers.2`, [to, from, 3, 3]);
    put(`${name}.emb_layers.1`, [to, embed]);
    put(`${name}.out_layers.0`, [to]);
    put(`${name}.out_layers.3`, [to, to, 3, 3]);
    if (from !== to) put(`${name}.skip_connection`, [to, from, 1, 1]);
  };
  const transformer = (name: string, channels: number, depth: number) => {
    const projection = settings.linear ? [channels, channels] : [channels, channels, 1, 1];
    put(`${name}.norm`, [channels]);
    put(`${name}.proj_in`, projection);
    for (let i = 0; i < depth; i++) {
      const block = `${name}.transformer_blocks.${i}`;
      for (const [attention, context] of [
        ['attn1', channels],
        ['attn2', contextDim],
      ] as const) {
        put(`${block}.${attention}.to_q`, [channels, channels], false);
        put(`${block}.${attention}.to_k`, [channels, context], false);
        put(`${block}.${attention}.to_v`, [channels, context], false);
        put(`${block}.${attention}.to_out.0`, [channels, channels]);
      }
      put(`${block}.ff.net.0.proj`, [8 * channels, channels]);
      put(`${block}.ff.net.2`, [channels, 4 * channels]);
      for (const norm of ['norm1', 'norm2', 'norm3']) put(`${block}.${norm}`, [channels]);
    }
    put(`${name}.proj_out`, projection);
  };

  put('time_embed.0', [embed, base]);
  put('time_embed.2', [embed, embed]);
  if (settings.condProj) put('time_embed.cond_proj', [base, settings.condProj], false);
  if (settings.admInChannels) {
    put('label_emb.0.0', [embed, settings.admInChannels]);
    put('label_emb.0.2', [embed, embed]);
  }
  put('input_blocks.0.0', [base, inChannels, 3, 3]);
  const skips = [base];
  let channels = base;
  let index = 1;
  for (const [level, mult] of channelMult.entries()) {
    for (let i = 0; i < 2; i++) {
      resBlock(`input_blocks.${index}.0`, channels, mult * base);
      channels = mult * base;
      if (depths[level]! > 0) transformer(`input_blocks.${index}.1`, channels, depths[level]!);
      skips.push(channels);
      index++;
    }
    if (level === channelMult.length - 1) continue;
    put(`input_blocks.${index++}.0.op`, [channels, channels, 3, 3]);
    skips.push(channels);
  }
  resBlock('middle_block.0', channels, channels);
  if (midDepth >= 0) {
    transformer('middle_block.1', channels, midDepth);
    resBlock('middle_block.2', channels, channels);
  }
  index = 0;
  for (const [level, mult] of [...channelMult.entries()].reverse()) {
    for (let i = 0; i < 3; i++) {
      resBlock(`output_blocks.${index}.0`, channels + skips.pop()!, mult * base);
      channels = mult * base;
      const depth = settings.upDepths?.[channelMult.length - 1 - level]?.[i] ?? depths[level]!;
      const attends = depth > 0;
      if (attends) transformer(`output_blocks.${index}.1`, channels, depth);
      if (level > 0 && i === 2) {
        put(`output_blocks.${index}.${attends ? 2 : 1}.conv`, [channels, channels, 3, 3]);
      }
      index++;
    }
  }
  put('out.0', [base]);
  put('out.2', [4, base, 3, 3]);
  return shapes;
}

export function originalAutoencoder(base = 128, channelMult: readonly number[] = [1, 2, 4, 4]): Shapes {
  const shapes: Shapes = new Map();
  const put = (name: string, weight: readonly number[]) => layer(shapes, `first_stage_model.${name}`, weight);
  const block = (name: string, from: number, to: number) => {
    put(`${name}.norm1`, [from]);
    put(`${name}.conv1`, [to, from, 3, 3]);
    put(`${name}.norm2`, [to]);
    put(`${name}.conv2`, [to, to, 3, 3]);
    if (from !== to) put(`${name}.nin_shortcut`, [to, from, 1, 1]);
  };
  const middle = (side: string, channels: number) => {
    block(`${side}.mid.block_1`, channels, channels);
    put(`${side}.mid.attn_1.norm`, [channels]);
    for (const part of ['q', 'k', 'v', 'proj_out'])
      put(`${side}.mid.attn_1.${part}`, [channels, channels, 1, 1]);
    block(`${side}.mid.block_2`, channels, channels);
  };
  put('encoder.conv_in', [base, 3, 3, 3]);
  let channels = base;
  for (const [level, mult] of channelMult.entries()) {
    for (let i = 0; i < 2; i++) {
      block(`encoder.down.${level}.block.${i}`, channels, mult * base);
      channels = mult * base;
    }
    if (level < channelMult.length - 1)
      put(`encoder.down.${level}.downsample.conv`, [channels, channels, 3, 3]);
  }
  middle('encoder', channels);
  put('encoder.norm_out', [channels]);
  put('encoder.conv_out', [8, channels, 3, 3]);
  put('decoder.conv_in', [channels, 4, 3, 3]);
  middle('decoder', channels);
  for (const [level, mult] of [...channelMult.entries()].reverse()) {
    for (let i = 0; i < 3; i++) {
      block(`decoder.up.${level}.block.${i}`, channels, mult * base);
      channels = mult * base;
    }
    if (level > 0) put(`decoder.up.${level}.upsample.conv`, [channels, channels, 3, 3]);
  }
  put('decoder.norm_out', [channels]);
  put('decoder.conv_out', [3, channels, 3, 3]);
  put('quant_conv', [8, 8, 1, 1]);
  put('post_quant_conv', [4, 4, 1, 1]);
  return shapes;
}

/** CLIP as transformers names it. */
export function originalClip(prefix: string, width = 768, layers = 12): Shapes {
  const shapes: Shapes = new Map();
  const model = `${prefix}text_model`;
  shapes.set(`${model}.embeddings.position_ids`, [1, 77]);
  shapes.set(`${model}.embeddings.token_embedding.weight`, [49408, width]);
  shapes.set(`${model}.embeddings.position_embedding.weight`, [77, width]);
  for (let i = 0; i < layers; i++) {
    const block = `${model}.encoder.layers.${i}`;
    for (const part of ['q_proj', 'k_proj', 'v_proj', 'out_proj']) {
      layer(shapes, `${block}.self_attn.${part}`, [width, width]);
    }
    layer(shapes, `${block}.layer_norm1`, [width]);
    layer(shapes, `${block}.layer_norm2`, [width]);
    layer(shapes, `${block}.mlp.fc1`, [4 * width, width]);
    layer(shapes, `${block}.mlp.fc2`, [width, 4 * width]);
  }
  layer(shapes, `${model}.final_layer_norm`, [width]);
  return shapes;
}

/** OpenCLIP's text tower. */
export function originalOpenClip(prefix: string, width: number, layers: number): Shapes {
  const shapes: Shapes = new Map();
  shapes.set(`${prefix}positional_embedding`, [77, width]);
  shapes.set(`${prefix}text_projection`, [width, width]);
  shapes.set(`${prefix}logit_scale`, []);
  shapes.set(`${prefix}token_embedding.weight`, [49408, width]);
  for (let i = 0; i < layers; i++) {
    const block = `${prefix}transformer.resblocks.${i}`;
    shapes.set(`${block}.attn.in_proj_weight`, [3 * width, width]);
    shapes.set(`${block}.attn.in_proj_bias`, [3 * width]);
    layer(shapes, `${block}.attn.out_proj`, [width, width]);
    layer(shapes, `${block}.ln_1`, [width]);
    layer(shapes, `${block}.ln_2`, [width]);
    layer(shapes, `${block}.mlp.c_fc`, [4 * width, width]);
    layer(shapes, `${block}.mlp.c_proj`, [width, 4 * width]);
  }
  layer(shapes, `${prefix}ln_final`, [width]);
  return shapes;
}

const unet1: OriginalUNet = {
  inChannels: 4,
  modelChannels: 320,
  channelMult: [1, 2, 4, 4],
  depths: [1, 1, 1, 0],
  midDepth: 1,
  contextDim: 768,
  linear: false,
};

/** v1-inference.yaml, v2-inference-v.yaml and sd_xl_base.yaml, and what is derived from them. */
export const originalCheckpoints = {
  sd15: () =>
    merge(originalUNet(unet1), originalAutoencoder(), originalClip('cond_stage_model.transformer.')),
  sd15Inpainting: () =>
    merge(
      originalUNet({ ...unet1, inChannels: 9 }),
      originalAutoencoder(),
      originalClip('cond_stage_model.transformer.'),
    ),
  sd15Lcm: () =>
    merge(
      originalUNet({ ...unet1, condProj: 256 }),
      originalAutoencoder(),
      originalClip('cond_stage_model.transformer.'),
    ),
  sd21: () =>
    merge(
      originalUNet({ ...unet1, contextDim: 1024, linear: true }),
      originalAutoencoder(),
      originalOpenClip('cond_stage_model.model.', 1024, 24),
    ),
  sdxl: () =>
    merge(
      originalUNet({
        ...unet1,
        channelMult: [1, 2, 4],
        depths: [0, 2, 10],
        midDepth: 10,
        contextDim: 2048,
        linear: true,
        admInChannels: 2816,
      }),
      originalAutoencoder(),
      originalClip('conditioner.embedders.0.transformer.'),
      originalOpenClip('conditioner.embedders.1.model.', 1280, 32),
    ),
  /** segmind/SSD-1B: SDXL with less of its transformers. */
  ssd1b: () =>
    merge(
      originalUNet({
        ...unet1,
        channelMult: [1, 2, 4],
        depths: [0, 2, 4],
        midDepth: -1,
        upDepths: [
          [4, 4, 10],
          [2, 1, 1],
          [0, 0, 0],
        ],
        contextDim: 2048,
        linear: true,
        admInChannels: 2816,
      }),
      originalAutoencoder(),
      originalClip('conditioner.embedders.0.transformer.'),
      originalOpenClip('conditioner.embedders.1.model.', 1280, 32),
    ),
} as const;

function merge(...parts: Shapes[]): Shapes {
  return new Map(parts.flatMap((part) => [...part]));
}

/** Half precision, in a file that nobody opens. */
/** A file that nobody reads. */
export const source: ByteSource = {
  name: 'a',
  size: 2 ** 40,
  read: () => Promise.reject(new Error('read')),
};

export function inFile(shapes: Shapes): Weights {
  let offset = 0;
  const weights = new Map<string, Weight>();
  for (const [name, shape] of shapes) {
    const length = 2 * shape.reduce((product, size) => product * size, 1);
    weights.set(name, { dtype: 'float16', shape, storage: { kind: 'source', source, offset, length } });
    offset += length;
  }
  return weights;
}
