/** How the reference engine holds tensors: every element a double, whatever its type. */
import { allocate, type DType, type TypedArray } from '../../graph/dtype.ts';
import {
  bfloat16ToFloat32,
  float16ToFloat32,
  float32ToBfloat16,
  float32ToFloat16,
} from '../../graph/float16.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { elementCount, type Shape } from '../../graph/shape.ts';

export interface Value {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Row-major. Integers are exact up to 2^53; bool is 0 or 1. */
  readonly data: Float64Array;
}

/** A value whose elements are computed one by one from their place in row-major order. */
export function tabulate(dtype: DType, shape: Shape, element: (index: number) => number): Value {
  const data = new Float64Array(elementCount(shape));
  for (let i = 0; i < data.length; i++) data[i] = element(i);
  return { dtype, shape, data };
}

export function fromHost({ dtype, shape, data }: HostTensor): Value {
  let elements: TypedArray = data;
  if (data instanceof Uint16Array)
    elements = dtype === 'float16' ? float16ToFloat32(data) : bfloat16ToFloat32(data);
  return { dtype, shape, data: Float64Array.from(elements, Number) };
}

export function toHost({ dtype, shape, data }: Value): HostTensor {
  switch (dtype) {
    case 'float16':
      return { dtype, shape, data: float32ToFloat16(Float32Array.from(data)) };
    case 'bfloat16':
      return { dtype, shape, data: float32ToBfloat16(Float32Array.from(data)) };
    case 'int64':
      return { dtype, shape, data: BigInt64Array.from(data, BigInt) };
    default: {
      const elements = allocate(dtype, data.length);
      if (!(elements instanceof BigInt64Array)) elements.set(data);
      return { dtype, shape, data: elements };
    }
  }
}

/** The value as its type can hold it. */
export function rounded(value: Value): Value {
  return { ...value, data: fromHost(toHost(value)).data };
}

export function isFloat(dtype: DType): boolean {
  return dtype === 'float32' || dtype === 'float64' || dtype === 'float16' || dtype === 'bfloat16';
}
