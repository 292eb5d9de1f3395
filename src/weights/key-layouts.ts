/**
 * Names that diffusers and transformers have given the same weights over the years, brought to the one in use.
 * Only names and shapes change, never bytes, so weights stay ranges of their file.
 */
import type { Weight, Weights } from './weights.ts';

/** The weights of a model of class `className` under the names that this package's models ask for. */
export function withCurrentNames(className: string, weights: Weights): Weights {
  if (className === 'AutoencoderKL') return renamed(weights, currentAutoencoderName, asLinear);
  if (className.startsWith('CLIPTextModel')) return renamed(weights, currentTextName);
  return weights;
}

/** Before diffusers 0.15 an autoencoder's attention block was `query`, `key`, `value`, `proj_attn`. */
const AUTOENCODER_ATTENTION: Readonly<Record<string, string>> = {
  query: 'to_q',
  key: 'to_k',
  value: 'to_v',
  proj_attn: 'to_out.0',
};

function currentAutoencoderName(name: string): string {
  return name.replace(
    /(\.attentions\.\d+\.)(query|key|value|proj_attn)(?=\.(?:weight|bias)$)/,
    (_, block: string, part: string) => block + AUTOENCODER_ATTENTION[part],
  );
}

/** The original code, and what was converted from it, has these projections as convolutions, [O, I, 1, 1]. */
function asLinear(name: string, weight: Weight): Weight {
  const [outputs, inputs, ...kernel] = weight.shape;
  const pointwise = kernel.length > 0 && kernel.every((size) => size === 1);
  if (!pointwise || !/\.attentions\.\d+\.(to_q|to_k|to_v|to_out\.0)\.weight$/.test(name)) return weight;
  return { ...weight, shape: [outputs!, inputs!] };
}

/**
 * transformers 5.6 and later save a CLIPTextModel without `text_model.`, hub checkpoints have it. `position_ids`
 * is a buffer of old versions that counts 0, 1, 2, …
 */
function currentTextName(name: string): string | undefined {
  if (name.endsWith('embeddings.position_ids')) return undefined;
  return /^(embeddings|encoder|final_layer_norm)\./.test(name) ? `text_model.${name}` : name;
}

/** Leaves out a weight whose new name is undefined. */
function renamed(
  weights: Weights,
  rename: (name: string) => string | undefined,
  reshape: (name: string, weight: Weight) => Weight = (_, weight) => weight,
): Weights {
  const result = new Map<string, Weight>();
  for (const [name, weight] of weights) {
    const current = rename(name);
    if (current !== undefined) result.set(current, reshape(current, weight));
  }
  return result;
}
