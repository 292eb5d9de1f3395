/**
 * The text encoder of Stable Diffusion: transformers' `CLIPTextModel` and `CLIPTextModelWithProjection`
 * (Radford et al. 2021, section 2.4).
 */
import { UsageError } from '../errors.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import * as ops from '../graph/operators/index.ts';
import { constant, type Tensor } from '../graph/tensor.ts';
import { type ActivationName, activation, activationNames } from '../layers/activations.ts';
import { embedding } from '../layers/embeddings.ts';
import { normalInitializer, zerosInitializer } from '../layers/initializers.ts';
import { linear } from '../layers/linear.ts';
import { layerNorm } from '../layers/normalization.ts';
import type { Params } from '../layers/params.ts';
import { configFields } from './config.ts';
import { EPSILONS, LAYERS, POSITIONS, TOKEN_IDS, VOCABULARY, WIDTHS } from './limits.ts';

/** transformers' field names, without those that matter only to its own machinery. */
export interface CLIPTextConfig {
  readonly vocab_size: number;
  readonly hidden_size: number;
  readonly intermediate_size: number;
  readonly projection_dim: number;
  readonly num_hidden_layers: number;
  readonly num_attention_heads: number;
  readonly max_position_embeddings: number;
  readonly hidden_act: ActivationName;
  readonly layer_norm_eps: number;
  readonly bos_token_id: number;
  /** 2 stands for "the largest id of the prompt": what OpenAI's checkpoints say, and mean the end of text. */
  readonly eos_token_id: number;
  readonly pad_token_id: number;
}

/**
 * Fields that old versions of transformers write for every kind of model: how text is generated, what labels are called,
 * what else is returned. None of them changes what a CLIP text encoder computes.
 */
const GENERAL_FIELDS = [
  ...['return_dict', 'output_hidden_states', 'output_attentions', 'torchscript', 'use_bfloat16', 'use_cache'],
  ...[
    'tf_legacy_loss',
    'pruned_heads',
    'tie_word_embeddings',
    'tie_encoder_decoder',
    'chunk_size_feed_forward',
  ],
  ...[
    'max_length',
    'min_length',
    'do_sample',
    'early_stopping',
    'num_beams',
    'num_beam_groups',
    'temperature',
  ],
  ...['diversity_penalty', 'top_k', 'top_p', 'typical_p', 'repetition_penalty', 'length_penalty'],
  ...['no_repeat_ngram_size', 'encoder_no_repeat_ngram_size', 'bad_words_ids', 'num_return_sequences'],
  ...['output_scores', 'return_dict_in_generate', 'forced_bos_token_id', 'forced_eos_token_id'],
  ...[
    'remove_invalid_values',
    'exponential_decay_length_penalty',
    'suppress_tokens',
    'begin_suppress_tokens',
  ],
  ...['finetuning_task', 'id2label', 'label2id', 'num_labels', 'tokenizer_class', 'prefix', 'sep_token_id'],
  ...['decoder_start_token_id', 'task_specific_params', 'problem_type', 'gradient_checkpointing'],
];

/** Checks a config.json. Throws InputError naming the field that is wrong or not supported. */
export function clipTextConfig(json: unknown): CLIPTextConfig {
  const fields = configFields('CLIPTextModel', json);
  const config: CLIPTextConfig = {
    vocab_size: fields.integer('vocab_size', 49408, VOCABULARY),
    hidden_size: fields.integer('hidden_size', 512, WIDTHS),
    intermediate_size: fields.integer('intermediate_size', 2048, WIDTHS),
    projection_dim: fields.integer('projection_dim', 512, WIDTHS),
    num_hidden_layers: fields.integer('num_hidden_layers', 12, LAYERS),
    num_attention_heads: fields.integer('num_attention_heads', 8, WIDTHS),
    max_position_embeddings: fields.integer('max_position_embeddings', 77, POSITIONS),
    hidden_act: fields.choice('hidden_act', activationNames, 'quick_gelu'),
    layer_norm_eps: fields.number('layer_norm_eps', 1e-5, EPSILONS),
    bos_token_id: fields.integer('bos_token_id', 49406, TOKEN_IDS),
    eos_token_id: fields.integer('eos_token_id', 49407, TOKEN_IDS),
    pad_token_id: fields.integer('pad_token_id', 1, TOKEN_IDS),
  };
  fields.only('model_type', 'clip_text_model');
  fields.only('attention_dropout', 0);
  fields.only('dropout', 0);
  // Fields of transformers' own bookkeeping.
  fields.ignore('architectures', 'dtype', 'torch_dtype', 'transformers_version');
  fields.ignore('initializer_factor', 'initializer_range', ...GENERAL_FIELDS);
  fields.finish();
  if (config.hidden_size % config.num_attention_heads !== 0) {
    fields.fail('num_attention_heads', `a divisor of hidden_size, ${config.hidden_size}`);
  }
  return config;
}

/** What the text encoder makes of token ids. */
export interface CLIPTextOutput {
  /** The embeddings, then the output of every layer, none of them normalised: [B, L, hidden_size] each. */
  readonly hiddenStates: readonly Tensor[];
  /** The last of them after the final layer norm, [B, L, hidden_size]: what Stable Diffusion 1 and 2 attend to. */
  readonly lastHiddenState: Tensor;
  /** Its row at the end of text, [B, hidden_size]. */
  readonly pooled: Tensor;
}

/** Encodes token ids. inputIds: [B, L] int64, L ≤ max_position_embeddings. Throws UsageError for longer ones. */
export function clipText(config: CLIPTextConfig, p: Params, inputIds: Tensor): CLIPTextOutput {
  const [, length] = inputIds.shape as [number, number];
  const { hidden_size: channels, max_position_embeddings: positions } = config;
  if (length > positions) {
    throw new UsageError(
      `the text encoder takes at most ${positions} tokens, got ${length}; shorten the prompt`,
    );
  }
  const model = p.in('text_model');
  const tables = model.in('embeddings');
  const start = normalInitializer(0.02);
  const tokens = embedding(tables.in('token_embedding'), inputIds, config.vocab_size, channels, start);
  const table = tables.in('position_embedding').weight('weight', [positions, channels], start);
  let h = ops.add(tokens, length < positions ? ops.slice(table, 0, 0, length) : table);

  const hiddenStates = [h];
  for (let i = 0; i < config.num_hidden_layers; i++) {
    h = encoderLayer(config, model.in('encoder.layers').in(i), h);
    hiddenStates.push(h);
  }
  const lastHiddenState = clipFinalLayerNorm(config, p, h);
  return { hiddenStates, lastHiddenState, pooled: rowAtEndOfText(config, lastHiddenState, inputIds) };
}

/** The final layer norm for any of the hidden states, as diffusers' `clip_skip` wants it. [B, L, C] → same. */
export function clipFinalLayerNorm(config: CLIPTextConfig, p: Params, hiddenState: Tensor): Tensor {
  return layerNorm(p.in('text_model.final_layer_norm'), hiddenState, config.layer_norm_eps);
}

/** `CLIPTextModelWithProjection`'s text_embeds. pooled: [B, hidden_size] → [B, projection_dim]. */
export function clipTextProjection(config: CLIPTextConfig, p: Params, pooled: Tensor): Tensor {
  return linear(p.in('text_projection'), pooled, config.projection_dim, {
    bias: false,
    initializer: normalInitializer(config.hidden_size ** -0.5),
  });
}

function encoderLayer(config: CLIPTextConfig, p: Params, x: Tensor): Tensor {
  const channels = config.hidden_size;
  // transformers starts each kind of layer with its own spread, all biases at zero.
  const inner = channels ** -0.5 * (2 * config.num_hidden_layers) ** -0.5;
  const project = (name: string, from: Tensor, out: number, std: number) =>
    linear(p.in(name), from, out, {
      initializer: normalInitializer(std),
      biasInitializer: zerosInitializer,
    });

  const normalized = layerNorm(p.in('layer_norm1'), x, config.layer_norm_eps);
  const q = project('self_attn.q_proj', normalized, channels, inner);
  const k = project('self_attn.k_proj', normalized, channels, inner);
  const v = project('self_attn.v_proj', normalized, channels, inner);
  const mixed = ops.attention(q, k, v, { heads: config.num_attention_heads, causal: true });
  const h = ops.add(x, project('self_attn.out_proj', mixed, channels, channels ** -0.5));

  const wide = project(
    'mlp.fc1',
    layerNorm(p.in('layer_norm2'), h, config.layer_norm_eps),
    config.intermediate_size,
    (2 * channels) ** -0.5,
  );
  return ops.add(h, project('mlp.fc2', activation(config.hidden_act, wide), channels, inner));
}

/**
 * The state at the end of text, found in the graph. Each position gets an integer score: the first that matches
 * has the highest, and position 0 if none does. states: [B, L, C], ids: [B, L] → [B, C].
 */
function rowAtEndOfText(config: CLIPTextConfig, states: Tensor, inputIds: Tensor): Tensor {
  const [batch, length] = inputIds.shape as [number, number];
  const ids = ops.cast(inputIds, 'float32');
  const candidate =
    config.eos_token_id === 2
      ? ids
      : ops.where(ops.greater(ops.abs(ops.subtract(ids, config.eos_token_id)), 0), 0, 1);
  const fromEnd = constant(
    hostTensor(
      Float32Array.from({ length }, (_, i) => length - i),
      [1, length],
    ),
  );
  const score = ops.add(ops.multiply(candidate, length + 1), fromEnd);
  const selected = ops.where(ops.greater(ops.reduceMax(score, [1], true), score), 0, 1);
  return ops.reshape(ops.matmul(ops.reshape(selected, [batch, 1, length]), states), [
    batch,
    config.hidden_size,
  ]);
}
