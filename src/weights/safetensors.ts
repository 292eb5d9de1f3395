/**
 * The safetensors format: 8 bytes with the header's length, a JSON header, then the tensors' bytes back to back.
 *
 * The checks are those of the reference implementation (huggingface/safetensors, `Metadata::validate`), so a
 * file that it refuses is refused here: a header of at most 100 MB, shapes that agree with the byte ranges, ranges that
 * start at 0, follow each other without gap or overlap and end with the file. Only types that it does not know are no
 * reason: a file of a later version is read as far as its types are known.
 */

import { isDType, viewAs } from '../graph/dtype.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { brief } from '../messages.ts';
import {
  DTYPES,
  invalid,
  LENGTH_BYTES,
  MAX_HEADER_BYTES,
  parseHeader,
  readHeaderLength,
} from './safetensors-header.ts';

const LAYOUT_ORDER = Object.values(DTYPES);
const FORMAT_NAMES = new Map(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name]));

/** What a safetensors file holds. */
export interface SafetensorsContent {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * Reads a whole file. The tensors are views of `bytes` where their alignment allows it. Throws InputError also for element
 * types that this package has no arrays for.
 */
export function parseSafetensors(bytes: Uint8Array, file = 'safetensors data'): SafetensorsContent {
  const headerLength = readHeaderLength(bytes.subarray(0, LENGTH_BYTES), bytes.byteLength, file);
  const header = bytes.subarray(LENGTH_BYTES, LENGTH_BYTES + headerLength);
  const { entries, metadata } = parseHeader(header, bytes.byteLength, file);
  const tensors = new Map<string, HostTensor>();
  for (const [name, entry] of entries) {
    const { shape, offset, length } = entry;
    const { dtype } = entry;
    if (!isDType(dtype)) {
      throw invalid(file, `tensor "${brief(name)}" has the element type ${dtype}, which is not read`);
    }
    tensors.set(name, { dtype, shape, data: viewAs(dtype, bytes.subarray(offset, offset + length)) });
  }
  return { tensors, metadata };
}

/** The beginning of a file (length and header), and the order in which the tensors' bytes follow it. */
export interface SafetensorsPlan {
  readonly head: Uint8Array;
  readonly names: readonly string[];
  /** Size of the whole file in bytes. */
  readonly size: number;
}

/**
 * Lays a file out as the reference implementation does: large elements first, then by name; the header is padded
 * with spaces so that the data begin at a multiple of 8. The same tensors give the same bytes in any order.
 */
export function planSafetensors(
  tensors: ReadonlyMap<string, Pick<HostTensor, 'dtype' | 'shape' | 'data'>>,
  metadata: Readonly<Record<string, string>> = {},
): SafetensorsPlan {
  const names = [...tensors.keys()].sort((a, b) => {
    const byType = LAYOUT_ORDER.indexOf(tensors.get(a)!.dtype) - LAYOUT_ORDER.indexOf(tensors.get(b)!.dtype);
    return byType || (a < b ? -1 : 1);
  });
  // The header is written by hand, because an object would sort names such as "0" to its front.
  const members: string[] = [];
  const texts = Object.entries(metadata).sort(([a], [b]) => (a < b ? -1 : 1));
  if (texts.length > 0) {
    members.push(`"__metadata__":{${texts.map((text) => text.map(quote).join(':')).join(',')}}`);
  }
  let end = 0;
  for (const name of names) {
    if (name === '__metadata__')
      throw new RangeError('a tensor cannot be called "__metadata__" in safetensors');
    const { dtype, shape, data } = tensors.get(name)!;
    const begin = end;
    end += data.byteLength;
    const fields = `"dtype":"${FORMAT_NAMES.get(dtype)}","shape":[${shape}],"data_offsets":[${begin},${end}]`;
    members.push(`${quote(name)}:{${fields}}`);
  }
  const json = new TextEncoder().encode(`{${members.join(',')}}`);
  const headerLength = Math.ceil(json.byteLength / 8) * 8;
  if (headerLength > MAX_HEADER_BYTES) {
    throw new RangeError(
      `the header would have ${headerLength} bytes, safetensors allows ${MAX_HEADER_BYTES}`,
    );
  }
  const head = new Uint8Array(LENGTH_BYTES + headerLength).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(headerLength), true);
  head.set(json, LENGTH_BYTES);
  return { head, names, size: head.byteLength + end };
}

/** A whole file in memory; `parseSafetensors` gives the same tensors back. */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array {
  const { head, names, size } = planSafetensors(tensors, metadata);
  const bytes = new Uint8Array(size);
  bytes.set(head);
  let offset = head.byteLength;
  for (const name of names) {
    const data = bytesOf(tensors.get(name)!);
    bytes.set(data, offset);
    offset += data.byteLength;
  }
  return bytes;
}

/** A tensor's elements as little-endian bytes, without a copy. */
export function bytesOf({ data }: HostTensor): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

function quote(text: string): string {
  return JSON.stringify(text);
}
