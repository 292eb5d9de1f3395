/** A tensor with values, in host memory: what goes into a graph, what comes out, what a file holds. */
import { allocate, type DType, type TypedArray } from './dtype.ts';
import { elementCount, formatShape, type Shape } from './shape.ts';

/** A tensor in the program's own memory. */
export interface HostTensor {
  readonly dtype: DType;
  readonly shape: Shape;
  /** Row-major elements; float16 and bfloat16 as their 16-bit patterns, bool as 0 or 1. */
  readonly data: TypedArray;
}

/** Wraps `data`; throws when its length does not match `shape`. */
export function hostTensor(data: TypedArray, shape: Shape, dtype: DType = naturalDType(data)): HostTensor {
  if (data.length !== elementCount(shape)) {
    throw new RangeError(
      `${data.length} elements cannot have the shape ${formatShape(shape)}, which has ${elementCount(shape)}`,
    );
  }
  return { dtype, shape, data };
}

/** A tensor of zeros. */
export function zeros(shape: Shape, dtype: DType = 'float32'): HostTensor {
  return { dtype, shape, data: allocate(dtype, elementCount(shape)) };
}

/** The elements as float32; throws for any other type. */
export function float32Data(tensor: HostTensor): Float32Array {
  if (tensor.data instanceof Float32Array) return tensor.data;
  throw new TypeError(`expected a float32 tensor, got ${tensor.dtype} ${formatShape(tensor.shape)}`);
}

function naturalDType(data: TypedArray): DType {
  if (data instanceof Float32Array) return 'float32';
  if (data instanceof Float64Array) return 'float64';
  if (data instanceof BigInt64Array) return 'int64';
  if (data instanceof Int32Array) return 'int32';
  if (data instanceof Int8Array) return 'int8';
  if (data instanceof Uint8Array) return 'uint8';
  throw new TypeError('a Uint16Array may be float16 or bfloat16: name the dtype');
}
