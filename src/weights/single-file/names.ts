/** What the readers of a checkpoint's parts share: sub-maps by prefix, renaming, and sizes of stored tensors. */
import { InputError } from '../../errors.ts';
import type { Weight, Weights } from '../weights.ts';

/** The weights whose names begin with `prefix`, without it. */
export function withoutPrefix(weights: Weights, prefix: string): Weights {
  const result = new Map<string, Weight>();
  for (const [name, weight] of weights)
    if (name.startsWith(prefix)) result.set(name.slice(prefix.length), weight);
  return result;
}

/** The weights under new names. */
export function renamed(weights: Weights, rename: (name: string) => string): Weights {
  return new Map([...weights].map(([name, weight]) => [rename(name), weight]));
}

/** Sizes of the tensors of one part of a checkpoint. */
export interface Sizes {
  /** Throws InputError when there is no such tensor, or it has no such axis. */
  size(name: string, axis: number): number;
  /** How many blocks 0, 1, 2, … there are of which `name(i)` is a tensor. */
  count(name: (index: number) => string): number;
}

/** `from` names the part in errors: `model.safetensors: its UNet`. */
export function sizesOf(weights: Weights, from: string): Sizes {
  return {
    size(name, axis) {
      const size = weights.get(name)?.shape[axis];
      if (size !== undefined && size > 0) return size;
      throw new InputError(
        weights.has(name)
          ? `${from} has a ${name} of the shape [${weights.get(name)!.shape}], which is of another kind of model`
          : `${from} has no ${name}; the file is incomplete or of a kind that is not supported`,
        { code: 'unsupported' },
      );
    },
    count(name) {
      let count = 0;
      while (weights.has(name(count))) count++;
      return count;
    },
  };
}
