/**
 * A file that holds a UNet and nothing else, under diffusers' names. Its shapes do not tell its configuration (how many
 * heads the attention has, for one), so it is taken to be built like another UNet.
 */
import { InputError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { formatShape, sameShape } from '../../graph/shape.ts';
import type { Weights } from '../weights.ts';
import { sizesOf, withoutPrefix } from './names.ts';

export interface StoredUNet {
  /** As a diffusers config.json. */
  readonly config: JsonObject;
  readonly weights: Weights;
}

/** Some programs put the name of the part before those of its weights. */
const PREFIXES = ['', 'unet.'];

/** What may be otherwise than in the UNet that it is built like: mask and masked picture, and the guidance embedding. */
const OF_ITS_OWN = /^(conv_in|time_embedding\.cond_proj)\./;

/** Whether these are the tensors of a UNet alone, supported or not. */
export function isUNetAlone(stored: Weights): boolean {
  return prefixOf(stored) !== undefined;
}

/** The weights under diffusers' names, and what their shapes tell of a config.json. `from` names the file in errors. */
export function unetAlone(stored: Weights, from: string): StoredUNet {
  const weights = withoutPrefix(stored, prefixOf(stored) ?? '');
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
    );
  }
  return { config: { ...other.config, ...config }, weights };
}

function prefixOf(stored: Weights): string | undefined {
  return PREFIXES.find((prefix) =>
    [
      'conv_in.weight',
      'time_embedding.linear_1.weight',
      'down_blocks.0.resnets.0.conv1.weight',
      'conv_out.weight',
    ].every((name) => stored.has(prefix + name)),
  );
}
