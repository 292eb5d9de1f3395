/**
 * The text encoders of a single-file checkpoint: CLIP as transformers stores it (SD 1, SDXL's first), and OpenCLIP
 * (SD 2, SDXL's second) brought to transformers' names, as diffusers' `convert_open_clip_checkpoint`.
 */
import { InputError } from '../../errors.ts';
import { withCurrentNames } from '../key-layouts.ts';
import { rowsOf } from '../rows.ts';
import type { Weight, Weights } from '../weights.ts';
import { sizesOf } from './names.ts';
import { headsOf } from './unet.ts';

/** Where a checkpoint's text encoder comes from, which decides over its activation and its padding. */
export type TextEncoderKind = 'clip' | 'open-clip';

const OPEN_CLIP_TABLES: ReadonlyMap<string, string> = new Map([
  ['positional_embedding', 'text_model.embeddings.position_embedding.weight'],
  ['token_embedding.weight', 'text_model.embeddings.token_embedding.weight'],
  ['ln_final.weight', 'text_model.final_layer_norm.weight'],
  ['ln_final.bias', 'text_model.final_layer_norm.bias'],
]);

const OPEN_CLIP_LAYERS: ReadonlyMap<string, string> = new Map([
  ['ln_1', 'layer_norm1'],
  ['ln_2', 'layer_norm2'],
  ['mlp.c_fc', 'mlp.fc1'],
  ['mlp.c_proj', 'mlp.fc2'],
  ['attn.out_proj', 'self_attn.out_proj'],
]);

/** weights: those of the encoder, without their prefix. Other tensors, such as `logit_scale`, are left out. */
export function textEncoderWeights(kind: TextEncoderKind, weights: Weights, from: string): Weights {
  return kind === 'clip' ? withCurrentNames('CLIPTextModel', weights) : openClipWeights(weights, from);
}

function openClipWeights(weights: Weights, from: string): Weights {
  const result = new Map<string, Weight>();
  for (const [name, weight] of weights) {
    const table = OPEN_CLIP_TABLES.get(name);
    if (table !== undefined) result.set(table, weight);
    // A plain matrix, multiplied from the right, where transformers has a linear layer.
    if (name === 'text_projection') result.set('text_projection.weight', { ...weight, transposed: true });
    const match = /^transformer\.resblocks\.(\d+)\.(.+)$/.exec(name);
    if (!match) continue;
    const layer = `text_model.encoder.layers.${match[1]}`;
    const part = match[2]!;
    const joint = /^attn\.in_proj_(weight|bias)$/.exec(part);
    if (joint) {
      const [rows = 0] = weight.shape;
      if (rows === 0 || rows % 3 !== 0) {
        throw new InputError(
          `${from} has a ${name} of ${rows} rows; expected those of queries, keys and values`,
        );
      }
      ['q_proj', 'k_proj', 'v_proj'].forEach((projection, i) => {
        result.set(`${layer}.self_attn.${projection}.${joint[1]}`, rowsOf(weight, i, 3));
      });
    } else {
      const end = part.lastIndexOf('.');
      const current = OPEN_CLIP_LAYERS.get(part.slice(0, end));
      if (current !== undefined) result.set(`${layer}.${current}${part.slice(end)}`, weight);
    }
  }
  return result;
}

export interface TextEncoderUse {
  readonly kind: TextEncoderKind;
  /** How many of the last layers the model leaves out: SD 2 attends to the last but one. */
  readonly unusedLayers: number;
}

/** A transformers config. weights: as `textEncoderWeights` gives them; `from` names them in errors. */
export function textEncoderConfig(
  weights: Weights,
  from: string,
  { kind, unusedLayers }: TextEncoderUse,
): Record<string, unknown> {
  const { size, count } = sizesOf(weights, from);
  const width = size('text_model.embeddings.token_embedding.weight', 1);
  const layers = count((i) => `text_model.encoder.layers.${i}.layer_norm1.weight`) - unusedLayers;
  if (layers < 1) throw new InputError(`${from} has ${layers + unusedLayers} layers; expected more`);
  const projection = weights.get('text_projection.weight');
  return {
    architectures: [projection ? 'CLIPTextModelWithProjection' : 'CLIPTextModel'],
    vocab_size: size('text_model.embeddings.token_embedding.weight', 0),
    hidden_size: width,
    intermediate_size: size('text_model.encoder.layers.0.mlp.fc1.weight', 0),
    num_hidden_layers: layers,
    num_attention_heads: headsOf(width, from),
    max_position_embeddings: size('text_model.embeddings.position_embedding.weight', 0),
    hidden_act: kind === 'clip' ? 'quick_gelu' : 'gelu',
    projection_dim: projection ? size('text_projection.weight', 1) : width,
    bos_token_id: 0,
    eos_token_id: 2,
    pad_token_id: 1,
  };
}
