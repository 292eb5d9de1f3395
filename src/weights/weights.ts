/** Stored weights: names, shapes, types, and where the bytes lie. Nothing is read until somebody needs it. */

import { InputError } from '../errors.ts';
import type { ByteSource } from '../files/files.ts';
import { type DType, isDType } from '../graph/dtype.ts';
import type { Shape } from '../graph/shape.ts';
import { brief } from '../messages.ts';

declare const foreign: unique symbol;

/** A type of safetensors that there are no arrays for here, by the format's name: `F8_E4M3`, `U64`. */
export type ForeignType = string & { readonly [foreign]: true };

/** The type of a tensor in a file; those that nothing is computed with are listed all the same. */
export type StoredType = DType | ForeignType;

/** A tensor in a file or in memory. */
export interface Weight {
  /** A tensor of a foreign type is listed, and refused by whoever needs it. */
  readonly dtype: StoredType;
  /** As stored. */
  readonly shape: Shape;
  readonly storage: Storage;
  /** The parameter is the stored matrix with its two axes exchanged. */
  readonly transposed?: boolean;
}

/** Little-endian, row-major bytes: in memory, or a range of a file, which engines map into memory where they can. */
export type Storage =
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | {
      readonly kind: 'source';
      readonly source: ByteSource;
      readonly offset: number;
      readonly length: number;
    };

/** By parameter name, e.g. `down_blocks.0.resnets.0.conv1.weight`. */
export type Weights = ReadonlyMap<string, Weight>;

/** The shape of the parameter that the weight is the value of. */
export function parameterShape({ shape, transposed = false }: Weight): Shape {
  return transposed ? shape.toReversed() : shape;
}

/** The type of the weight `name`. Throws InputError for a foreign one. */
export function readableType(name: string, weight: Weight): DType {
  const { dtype } = weight;
  if (isDType(dtype)) return dtype;
  throw new InputError(
    `the weight ${placed(name, weight)} is stored as ${dtype}; quantised weights are not supported, use float32, float16 or bfloat16`,
    { path: placeOf(weight), code: 'unsupported' },
  );
}

/** For messages: the name of a weight, and of its file if it lies in one. */
export function placed(name: string, { storage }: Weight): string {
  return storage.kind === 'source' ? `${brief(name)} of ${storage.source.name}` : brief(name);
}

/** The file that a weight lies in, for errors; undefined for one in memory. */
export function placeOf({ storage }: Weight): string | undefined {
  return storage.kind === 'source' ? storage.source.name : undefined;
}

/** Bytes of the weights that a program's parameters are bound to. */
export function sizeOfBound(
  { parameters }: { readonly parameters: ReadonlyMap<string, unknown> },
  weights: Weights = new Map(),
): number {
  const sizes = [...parameters.keys()].map((name) => storedSize(weights.get(name)?.storage));
  return sizes.reduce((sum, size) => sum + size, 0);
}

function storedSize(storage: Storage | undefined): number {
  if (storage === undefined) return 0;
  return storage.kind === 'bytes' ? storage.bytes.byteLength : storage.length;
}

/** The names of the weights of foreign types. */
export function foreignNames(weights: Weights): string[] {
  return [...weights].flatMap(([name, { dtype }]) => (isDType(dtype) ? [] : [name]));
}
