/**
 * A file that holds a UNet and nothing else, under diffusers' names or those of the original code. Its shapes do not tell
 * its configuration (how many heads the attention has, for one), so it is taken to be built like another UNet.
 */
import { InputError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import type { Weights } from '../weights.ts';
import { sizesOf, withoutPrefix } from './names.ts';
import { unetWeights } from './unet.ts';

export interface StoredUNet {
  /** As a diffusers config.json. */
  readonly config: JsonObject;
  readonly weights: Weights;
}

/** Some programs put the name of the part before those of its weights. */
const PREFIXES = ['', 'unet.'];
/** The same, of the original code: in whole checkpoints, and in files of other programs. */
const ORIGINAL_PREFIXES = ['model.diffusion_model.', ''];

/** What may be otherwise than in the UNet that it is built like: mask and masked picture, and the guidance embedding. */
const OF_ITS_OWN = /^(conv_in|time_embedding\.cond_proj)\./;

/** Whether these are the tensors of a UNet alone, supported or not. */
export function isUNetAlone(stored: Weights): boolean {
  return underCurrentNames(stored) !== undefined;
}

/** The weights under diffusers' names, and what their shapes tell of a config.json. `from` names the file in errors. */
export function unetAlone(stored: Weights, from: string): StoredUNet {
  const weights = underCurrentNames(stored) ?? stored;
  const { size } = sizesOf(weights, from);
  const config = {
    _class_name: 'UNet2DConditionModel',
    in_channels: size('conv_in.weight', 1),
    out_channels: size('conv_out.weight', 0),
    time_cond_proj_dim: weights.get('time_embedding.cond_proj.weight')?.shape[1] ?? null,
  };
  return { config, weights };
}

/** `unetAlone` with the rest of its configuration from `other`. Throws InputError when it is built in another way. */
export function unetLike(stored: Weights, from: string, other: StoredUNet): StoredUNet {
  const { config, weights } = unetAlone(stored, from);
  const names = new Set(
    [...other.weights.keys(), ...weights.keys()].filter((name) => !OF_ITS_OWN.test(name)),
  );
  for (const name of names) {
    const [mine, others] = [weights.get(name)?.shape, other.weights.get(name)?.shape];
    if (mine && others && sameShape(mine, others)) continue;
    const shown = (shape: typeof mine) => (shape ? formatShape(shape) : 'absent');
    throw new InputError(
      `${from} holds a UNet of another build than the model's: ${name} is ${shown(mine)}, in the model ${shown(others)}. ` +
        'A file does not tell its configuration; name a folder with the file and its config.json, or use another model',
      { path: from, code: 'mismatch' },
    );
  }
  return { config: { ...other.config, ...config }, weights };
}

/** The weights under diffusers' names; undefined where there is no UNet, or something besides. */
function underCurrentNames(stored: Weights): Weights | undefined {
  const names = [...stored.keys()];
  const isUNet = (prefix: string, layers: readonly string[]) =>
    names.every((name) => name.startsWith(prefix)) &&
    layers.every((name) => stored.has(`${prefix}${name}.weight`));
  const layers = ['conv_in', 'time_embedding.linear_1', 'down_blocks.0.resnets.0.conv1', 'conv_out'];
  const prefix = PREFIXES.find((candidate) => isUNet(candidate, layers));
  if (prefix !== undefined) return withoutPrefix(stored, prefix);
  const originalLayers = ['input_blocks.0.0', 'time_embed.0', 'out.2'];
  const original = ORIGINAL_PREFIXES.find((candidate) => isUNet(candidate, originalLayers));
  return original === undefined ? undefined : unetWeights(withoutPrefix(stored, original));
}
