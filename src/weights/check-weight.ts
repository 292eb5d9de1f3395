/** Whether a stored weight can be bound to a parameter. */
import { InputError } from '../errors.ts';
import { bytesPerElement, type DType } from '../graph/dtype.ts';
import { elementCount, formatShape, sameShape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import { placed, placeOf, readableType, type Storage, type Weight } from './weights.ts';

const floating: ReadonlySet<DType> = new Set<DType>(['float32', 'float64', 'float16', 'bfloat16']);

/**
 * The type that the weight is stored in. Throws InputError when its shape is not the parameter's, or its type cannot be
 * cast without loss of meaning.
 */
export function checkWeight(name: string, parameter: Tensor, weight: Weight): DType {
  const dtype = readableType(name, weight);
  if (!sameShape(parameter.shape, weight.shape)) {
    throw new InputError(
      `the weight ${placed(name, weight)} has the shape ${formatShape(weight.shape)}, but the model expects ` +
        `${formatShape(parameter.shape)}; the weights and the configuration belong to different models`,
      { path: placeOf(weight) },
    );
  }
  const expected = elementCount(weight.shape) * bytesPerElement(dtype);
  const found = storageLength(weight.storage);
  if (found !== expected) {
    throw new InputError(
      `the weight ${placed(name, weight)}, ${weight.dtype} ${formatShape(weight.shape)}, takes ${expected} bytes, but ${found} are stored`,
      { path: placeOf(weight), code: 'damaged' },
    );
  }
  if (dtype !== parameter.dtype && !(floating.has(dtype) && floating.has(parameter.dtype))) {
    throw new InputError(
      `the weight ${placed(name, weight)} is stored as ${dtype}, but the model expects ${parameter.dtype}`,
      { path: placeOf(weight) },
    );
  }
  return dtype;
}

/** In bytes. */
export function storageLength(storage: Storage): number {
  return storage.kind === 'bytes' ? storage.bytes.byteLength : storage.length;
}
