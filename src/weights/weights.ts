/** Stored weights: names, shapes, types, and where the bytes lie. Nothing is read until somebody needs it. */
import type { DType } from '../graph/dtype.ts';
import type { Shape } from '../graph/shape.ts';

export interface Weight {
  readonly dtype: DType;
  /** As stored. */
  readonly shape: Shape;
  readonly storage: Storage;
  /** The parameter is the stored matrix with its two axes exchanged. */
  readonly transposed?: boolean;
}

/** Little-endian, row-major bytes: in memory, or a range of a file that is read in place. */
export type Storage =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'file'; readonly path: string; readonly offset: number; readonly length: number };

/** By parameter name, e.g. `down_blocks.0.resnets.0.conv1.weight`. */
export type Weights = ReadonlyMap<string, Weight>;

/** The shape of the parameter that the weight is the value of. */
export function parameterShape({ shape, transposed = false }: Weight): Shape {
  return transposed ? shape.toReversed() : shape;
}
