/** Integers as safetensors stores them, one at a time: of all widths, also those that there are no arrays for. */
import type { StoredType } from './weights.ts';

/** Little-endian, by the names of arrays' types and of the format's others. */
const READERS: ReadonlyMap<string, (view: DataView) => number | bigint> = new Map<
  string,
  (view: DataView) => number | bigint
>([
  ['int8', (view) => view.getInt8(0)],
  ['uint8', (view) => view.getUint8(0)],
  ['I16', (view) => view.getInt16(0, true)],
  ['U16', (view) => view.getUint16(0, true)],
  ['int32', (view) => view.getInt32(0, true)],
  ['U32', (view) => view.getUint32(0, true)],
  ['int64', (view) => view.getBigInt64(0, true)],
  ['U64', (view) => view.getBigUint64(0, true)],
]);

/** The first element of `bytes`, which may not be empty; undefined where the type is none of integers. */
export function integerIn(dtype: StoredType, bytes: Uint8Array): number | undefined {
  const value = READERS.get(dtype)?.(new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength));
  return value === undefined ? undefined : Number(value);
}
