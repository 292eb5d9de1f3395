/**
 * The safetensors format: 8 bytes with the header's length, a JSON header, then the tensors' bytes back to back.
 *
 * The checks are those of the reference implementation (huggingface/safetensors, `Metadata::validate`), so a
 * file that it refuses is refused here: a header of at most 100 MB, shapes that agree with the byte ranges, ranges that
 * start at 0, follow each other without gap or overlap and end with the file. Only types that it does not know are no
 * reason: a file of a later version is read as far as its types are known.
 */

import { InputError } from '../errors.ts';
import { bytesPerElement, type DType, isDType, viewAs } from '../graph/dtype.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import { formatShape, type Shape } from '../graph/shape.ts';
import { brief, shown } from '../messages.ts';
import { findJsonFault } from './strict-json.ts';
import type { ForeignType, StoredType } from './weights.ts';

/** Largest header that the reference implementation reads, in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header: its length as an unsigned 64-bit integer. */
export const LENGTH_BYTES = 8;

/** In the order in which the reference implementation lays tensors out: large elements first keeps all aligned. */
const DTYPES: Readonly<Record<string, DType>> = {
  I64: 'int64',
  F64: 'float64',
  F32: 'float32',
  I32: 'int32',
  BF16: 'bfloat16',
  F16: 'float16',
  I8: 'int8',
  U8: 'uint8',
  BOOL: 'bool',
};
/** Bits of an element of the format's types that there are no arrays for: listed, and refused by whoever needs them. */
const FOREIGN_BITS: ReadonlyMap<string, number> = new Map([
  ['F4', 4],
  ['F6_E2M3', 6],
  ['F6_E3M2', 6],
  ['F8_E4M3', 8],
  ['F8_E5M2', 8],
  ['F8_E8M0', 8],
  ['F8_E4M3FNUZ', 8],
  ['F8_E5M2FNUZ', 8],
  ['I16', 16],
  ['U16', 16],
  ['U32', 32],
  ['U64', 64],
  ['C64', 64],
]);
/** How later versions of the format will call what they add. */
const TYPE_NAME = /^[A-Z][A-Z0-9_]{0,31}$/;
const LAYOUT_ORDER = Object.values(DTYPES);
const FORMAT_NAMES = new Map(Object.entries(DTYPES).map(([name, dtype]) => [dtype, name]));

/** Where a tensor lies in the file. */
export interface SafetensorsEntry {
  readonly dtype: StoredType;
  readonly shape: Shape;
  /** From the beginning of the file, in bytes. */
  readonly offset: number;
  readonly length: number;
}

export interface SafetensorsHeader {
  /** In the order in which they lie in the file. */
  readonly entries: ReadonlyMap<string, SafetensorsEntry>;
  /** The free-form `__metadata__` texts. */
  readonly metadata: Readonly<Record<string, string>>;
}

export interface SafetensorsContent {
  readonly tensors: Map<string, HostTensor>;
  readonly metadata: Readonly<Record<string, string>>;
}

/**
 * The length of the header that follows `start`, the first 8 bytes of a file of `fileSize` bytes.
 * Throws InputError when it cannot be right, so that nobody allocates what a broken file asks for.
 */
export function readHeaderLength(start: Uint8Array, fileSize: number, file: string): number {
  if (fileSize < LENGTH_BYTES || start.byteLength < LENGTH_BYTES) {
    throw invalid(file, `it has ${fileSize} bytes, a safetensors file has at least ${LENGTH_BYTES}`);
  }
  const length = new DataView(start.buffer, start.byteOffset, LENGTH_BYTES).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER_BYTES)) {
    throw invalid(file, `its header claims ${length} bytes, at most ${MAX_HEADER_BYTES} are allowed`);
  }
  if (Number(length) > fileSize - LENGTH_BYTES) {
    throw invalid(
      file,
      `its header claims ${length} bytes but only ${fileSize - LENGTH_BYTES} follow; the file is cut off or not safetensors`,
    );
  }
  return Number(length);
}

/**
 * Reads the JSON header of a file of `fileSize` bytes. Throws InputError, naming the file and the tensor, for
 * whatever the format does not allow.
 */
export function parseHeader(header: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const json = parseJsonHeader(header, file);
  const dataStart = LENGTH_BYTES + header.byteLength;
  const dataSize = fileSize - dataStart;
  const metadata = readMetadata(json.__metadata__, file);

  const ranges: { name: string; entry: SafetensorsEntry; begin: number; end: number }[] = [];
  for (const [name, value] of Object.entries(json)) {
    if (name !== '__metadata__') ranges.push({ name, ...readEntry(name, value, dataStart, dataSize, file) });
  }
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);

  const entries = new Map<string, SafetensorsEntry>();
  let expected = 0;
  for (const { name, entry, begin, end } of ranges) {
    if (begin !== expected) {
      throw invalid(
        file,
        `tensor "${brief(name)}" begins at byte ${begin} of the data, expected ${expected}: tensors may neither overlap nor leave gaps`,
      );
    }
    expected = end;
    entries.set(name, entry);
  }
  if (expected !== dataSize) {
    throw invalid(file, `its tensors end at byte ${expected} of the data, which has ${dataSize}`);
  }
  return { entries, metadata };
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
  // Written by hand because an object would sort names such as "0" to its front.
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

function parseJsonHeader(header: Uint8Array, file: string): Record<string, unknown> {
  // The format asks for "{" as the very first byte; it also keeps byte order marks and leading spaces out.
  if (header[0] !== 0x7b) throw invalid(file, 'its header does not begin with "{"');
  let text: string;
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
    json = JSON.parse(text);
  } catch (cause) {
    throw invalid(file, 'its header is not JSON in UTF-8', cause);
  }
  const fault = findJsonFault(text);
  if (fault !== undefined) throw invalid(file, `its header has ${fault}`);
  return json as Record<string, unknown>;
}

function readMetadata(value: unknown, file: string): Record<string, string> {
  if (value === undefined || value === null) return {};
  if (!isObject(value)) throw invalid(file, '"__metadata__" is not an object of texts');
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== 'string') throw invalid(file, `"__metadata__" holds "${key}", which is not a text`);
  }
  return value as Record<string, string>;
}

function readEntry(name: string, value: unknown, dataStart: number, dataSize: number, file: string) {
  if (!isObject(value)) throw invalid(file, `tensor "${brief(name)}" is not described by an object`);
  const { dtype, bits } = typeOf(value.dtype) ?? {};
  if (dtype === undefined) {
    throw invalid(file, `tensor "${brief(name)}" has the element type ${shown(value.dtype)}, which is none`);
  }
  const { shape, data_offsets: offsets } = value;
  if (!isSizes(shape)) {
    throw invalid(file, `tensor "${brief(name)}" has a shape that is not a list of sizes: ${shown(shape)}`);
  }
  if (!isSizes(offsets) || offsets.length !== 2) {
    throw invalid(
      file,
      `tensor "${brief(name)}" has data_offsets that are not [begin, end]: ${shown(offsets)}`,
    );
  }
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataSize) {
    throw invalid(
      file,
      `tensor "${brief(name)}" claims the bytes ${begin} to ${end} of ${dataSize}; the file is cut off or damaged`,
    );
  }
  const size = bits === undefined ? end - begin : byteSize(bits, shape);
  if (size !== end - begin) {
    const needs = size === undefined ? 'more than can be addressed' : `${size} bytes`;
    throw invalid(
      file,
      `tensor "${brief(name)}" has ${end - begin} bytes, but ${dtype} ${formatShape(shape)} needs ${needs}`,
    );
  }
  return { entry: { dtype, shape, offset: dataStart + begin, length: end - begin }, begin, end };
}

/** The type of this name, and how many bits an element of it has, where that is known. */
function typeOf(name: unknown): { dtype: StoredType; bits: number | undefined } | undefined {
  if (typeof name !== 'string') return undefined;
  const dtype = Object.hasOwn(DTYPES, name) ? DTYPES[name] : undefined;
  if (dtype !== undefined) return { dtype, bits: 8 * bytesPerElement(dtype) };
  if (!TYPE_NAME.test(name)) return undefined;
  return { dtype: name as ForeignType, bits: FOREIGN_BITS.get(name) };
}

/** Undefined when a partial product leaves the exact integers, as the reference refuses overflow before a zero. */
function byteSize(bitsPerElement: number, shape: Shape): number | undefined {
  let size = bitsPerElement;
  for (const length of shape) {
    size *= length;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size / 8;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function isSizes(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);
}

function quote(text: string): string {
  return JSON.stringify(text);
}

function invalid(file: string, what: string, cause?: unknown): InputError {
  return new InputError(`${file} is not a readable safetensors file: ${what}`, { cause });
}
