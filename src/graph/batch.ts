/** Parts of a batch: tensors on the host cut along their first axis, and put together again. */
import { float32Data, type HostTensor, hostTensor } from './host-tensor.ts';

/** Part `index` of `count` equal ones, in the same memory. The first axis must divide. */
export function partOf({ data, shape, dtype }: HostTensor, index: number, count: number): HostTensor {
  const [rows, ...rest] = shape as [number, ...number[]];
  const length = data.length / count;
  return hostTensor(data.subarray(index * length, (index + 1) * length), [rows / count, ...rest], dtype);
}

/** float32 tensors one after the other along their first axis; the others are equal. */
export function joined(parts: readonly HostTensor[]): HostTensor {
  if (parts.length === 1) return parts[0]!;
  const whole = new Float32Array(parts.reduce((sum, { data }) => sum + data.length, 0));
  let rows = 0;
  let offset = 0;
  for (const part of parts) {
    whole.set(float32Data(part), offset);
    offset += part.data.length;
    rows += part.shape[0]!;
  }
  return hostTensor(whole, [rows, ...parts[0]!.shape.slice(1)]);
}
