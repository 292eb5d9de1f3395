/** Stored weights as tensors in memory. */
import { InputError } from '../errors.ts';
import { allocate, viewAs } from '../graph/dtype.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { bytesOf } from './safetensors.ts';
import { readableType, type Storage, type Weight, type Weights } from './weights.ts';

/**
 * Reads the weights called `names` (all by default) into memory, in their stored types, as parameters have them.
 * Throws InputError for one that is not there, of a type that is not read, or that cannot be read.
 */
export async function loadTensors(
  weights: Weights,
  names: Iterable<string> = weights.keys(),
): Promise<Map<string, HostTensor>> {
  const bytes = await loadBytes(weights, names);
  return new Map([...bytes].map(([name, each]) => [name, tensorOf(name, weights.get(name)!, each)]));
}

/** Reads the bytes of the weights called `names`, of whatever type. Throws InputError for one that is not there. */
export async function loadBytes(weights: Weights, names: Iterable<string>): Promise<Map<string, Uint8Array>> {
  const loaded = new Map<string, Uint8Array>();
  for (const name of names) {
    const weight = weights.get(name);
    if (!weight) throw new InputError(`there is no weight called "${name}"`);
    loaded.set(name, await storedBytes(weight.storage));
  }
  return loaded;
}

/** Tensors in memory as weights, as an engine or a network takes them. */
export function weightsOf(tensors: ReadonlyMap<string, HostTensor>): Weights {
  return new Map(
    [...tensors].map(([name, tensor]): [string, Weight] => {
      const { dtype, shape } = tensor;
      return [name, { dtype, shape, storage: { kind: 'bytes', bytes: bytesOf(tensor) } }];
    }),
  );
}

/** The bytes of a weight, from wherever they lie; at most `limit` of them, from the first on. */
export async function storedBytes(storage: Storage, limit = Number.POSITIVE_INFINITY): Promise<Uint8Array> {
  if (storage.kind === 'bytes') return storage.bytes.subarray(0, limit);
  return storage.source.read(storage.offset, Math.min(storage.length, limit));
}

function tensorOf(name: string, weight: Weight, bytes: Uint8Array): HostTensor {
  const { shape, transposed } = weight;
  const dtype = readableType(name, weight);
  const data = viewAs(dtype, bytes);
  if (!transposed) return { dtype, shape, data };
  const [rows, columns] = shape as [number, number];
  const turned = allocate(dtype, data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = data[row * columns + column]!;
  }
  return { dtype, shape: [columns, rows], data: turned };
}
