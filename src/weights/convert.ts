/** The floating-point types of stored weights, and conversions between them. */
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '../graph/float16.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import type { StoredType } from './weights.ts';

/** Types in which weights are written. */
export type StorageDType = 'float32' | 'float16' | 'bfloat16';

export function isFloat(dtype: StoredType): boolean {
  return dtype === 'float32' || dtype === 'float16' || dtype === 'bfloat16' || dtype === 'float64';
}

/**
 * A floating-point tensor in another floating-point type, rounded to the nearest value; integers and booleans stay
 * as they are. Returns the same tensor when nothing changes.
 */
export function convertTensor(tensor: HostTensor, dtype: StorageDType): HostTensor {
  if (tensor.dtype === dtype || !isFloat(tensor.dtype)) return tensor;
  const values = toFloat32(tensor);
  const narrow = { float32: (x: Float32Array) => x, float16: float32ToFloat16, bfloat16: float32ToBfloat16 }[
    dtype
  ];
  return { dtype, shape: tensor.shape, data: narrow(values) };
}

function toFloat32({ dtype, data }: HostTensor): Float32Array {
  if (data instanceof Float32Array) return data;
  if (data instanceof Float64Array) return Float32Array.from(data);
  if (data instanceof Uint16Array)
    return dtype === 'float16' ? float16ToFloat32(data) : bfloat16ToFloat32(data);
  throw new TypeError(`${dtype} is not a floating-point type`);
}
