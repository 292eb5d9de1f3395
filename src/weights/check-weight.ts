/** Whether a stored weight can be bound to a parameter. */
import { InputError } from '../errors.ts';
import { bytesPerElement, type DType } from '../graph/dtype.ts';
import { elementCount, formatShape, sameShape } from '../graph/shape.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Storage, Weight } from './weights.ts';

const floating: ReadonlySet<DType> = new Set<DType>(['float32', 'float64', 'float16', 'bfloat16']);

/** Throws InputError when the weight's shape is not the parameter's, or its type cannot be cast without loss of meaning. */
export function checkWeight(name: string, parameter: Tensor, weight: Weight): void {
  if (!sameShape(parameter.shape, weight.shape)) {
    throw new InputError(
      `the weight ${name} has the shape ${formatShape(weight.shape)}, but the model expects ` +
        `${formatShape(parameter.shape)}; the weights and the configuration belong to different models`,
    );
  }
  const expected = elementCount(weight.shape) * bytesPerElement(weight.dtype);
  const found = storageLength(weight.storage);
  if (found !== expected) {
    throw new InputError(
      `the weight ${name}, ${weight.dtype} ${formatShape(weight.shape)}, takes ${expected} bytes, but ${found} are stored`,
    );
  }
  if (weight.dtype !== parameter.dtype && !(floating.has(weight.dtype) && floating.has(parameter.dtype))) {
    throw new InputError(
      `the weight ${name} is stored as ${weight.dtype}, but the model expects ${parameter.dtype}`,
    );
  }
}

/** In bytes. */
export function storageLength(storage: Storage): number {
  return storage.kind === 'bytes' ? storage.bytes.byteLength : storage.length;
}
