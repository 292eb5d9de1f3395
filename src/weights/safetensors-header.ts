/** The header of a safetensors file: which tensors there are, of which types and shapes, and where they lie. */
import { InputError } from '../errors.ts';
import { JsonReader } from '../files/json-reader.ts';
import { bytesPerElement, type DType } from '../graph/dtype.ts';
import { formatShape, type Shape } from '../graph/shape.ts';
import { brief, shown } from '../messages.ts';
import type { ForeignType, StoredType } from './weights.ts';

/** Largest header that the reference implementation reads, in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

/** Bytes before the header: its length as an unsigned 64-bit integer. */
export const LENGTH_BYTES = 8;

/** In the order in which the reference implementation lays tensors out: large elements first keeps all aligned. */
export const DTYPES: Readonly<Record<string, DType>> = {
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
/** Tensors that a file may have: 2,516 in SDXL's. A header of 100 MB has room for more than are read in a moment. */
const MOST_TENSORS = 2 ** 18;

/** Axes that a tensor may have. */
const MOST_AXES = 64;

/** Lists and objects in each other in a field that is not known here. */
const DEEPEST = 8;

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
 * whatever the format does not allow, where it begins: a header of 100 MB takes no longer than its tensors do.
 */
export function parseHeader(header: Uint8Array, fileSize: number, file: string): SafetensorsHeader {
  const dataStart = LENGTH_BYTES + header.byteLength;
  const dataSize = fileSize - dataStart;
  // The format asks for "{" as the very first byte; it also keeps byte order marks and leading spaces out.
  if (header[0] !== 0x7b) throw invalid(file, 'its header does not begin with "{"');
  const reader = new JsonReader(
    decoded(header, file),
    `${file} is not a readable safetensors file: its header is not JSON as the format has it`,
    file,
  );
  let metadata: Record<string, string> = {};
  const ranges: Range[] = [];
  const keys = new Keys(file);
  reader.object((name) => {
    keys.add(name);
    if (name === '__metadata__') metadata = readMetadata(reader, file);
    else if (ranges.length === MOST_TENSORS) throw invalid(file, `it has more than ${MOST_TENSORS} tensors`);
    else ranges.push(rangeOf(name, readDescription(reader, name, file), { dataStart, dataSize, file }));
  });
  reader.end();
  return { entries: inOrder(ranges, dataSize, file), metadata };
}

interface Range {
  readonly name: string;
  readonly entry: SafetensorsEntry;
  readonly begin: number;
  readonly end: number;
}

/** The tensors as they lie in the file. Throws InputError unless they follow each other and end with it. */
function inOrder(ranges: Range[], dataSize: number, file: string): Map<string, SafetensorsEntry> {
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
  return entries;
}

function decoded(header: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(header);
  } catch (cause) {
    throw invalid(file, 'its header is not in UTF-8', cause);
  }
}

/** The keys of one object, which may neither be repeated nor be broken Unicode. */
class Keys {
  readonly #known = new Set<string>();
  readonly #file: string;

  constructor(file: string) {
    this.#file = file;
  }

  add(key: string): void {
    requireWhole(key, this.#file);
    if (this.#known.has(key)) throw invalid(this.#file, `its header has the key ${shown(key)} twice`);
    this.#known.add(key);
  }
}

function requireWhole(text: string, file: string): void {
  if (/\p{Surrogate}/u.test(text))
    throw invalid(file, `its header has half a surrogate pair in ${shown(text)}`);
}

function readMetadata(reader: JsonReader, file: string): Record<string, string> {
  if (reader.next() === 'n') {
    if (reader.word() !== null) reader.fail('texts for "__metadata__"');
    return {};
  }
  if (reader.next() !== '{') reader.fail('an object of texts for "__metadata__"');
  const texts = new Map<string, string>();
  const keys = new Keys(file);
  reader.object((key) => {
    keys.add(key);
    const text = reader.string(`a text for "${brief(key)}" in "__metadata__"`);
    requireWhole(text, file);
    texts.set(key, text);
  });
  return Object.fromEntries(texts);
}

interface Description {
  dtype?: string;
  shape?: readonly number[];
  data_offsets?: readonly number[];
}

function readDescription(reader: JsonReader, name: string, file: string): Description {
  const tensor = `tensor "${brief(name)}"`;
  if (reader.next() !== '{') reader.fail(`an object that describes ${tensor}`);
  const description: Description = {};
  const keys = new Keys(file);
  reader.object((field) => {
    keys.add(field);
    if (field === 'dtype') description.dtype = reader.string(`the element type of ${tensor}`);
    else if (field === 'shape') description.shape = readSizes(reader, `the shape of ${tensor}`, MOST_AXES);
    else if (field === 'data_offsets')
      description.data_offsets = readSizes(reader, `the data_offsets of ${tensor}`, 2);
    else skipValue(reader, 0);
  });
  return description;
}

function readSizes(reader: JsonReader, what: string, most: number): number[] {
  if (reader.next() !== '[') reader.fail(`a list for ${what}`);
  const sizes: number[] = [];
  reader.list(() => {
    if (sizes.length === most) reader.fail(`at most ${most} numbers for ${what}`);
    sizes.push(reader.wholeNumber(what));
  });
  return sizes;
}

/** Passes over a field that a later version of the format has. */
function skipValue(reader: JsonReader, depth: number): void {
  const character = reader.next();
  if (depth === DEEPEST) reader.fail('no more lists and objects in each other');
  if (character === '{') reader.object(() => skipValue(reader, depth + 1));
  else if (character === '[') reader.list(() => skipValue(reader, depth + 1));
  else if (character === '"') reader.string();
  else reader.word();
}

function rangeOf(
  name: string,
  { dtype: type, shape, data_offsets: offsets }: Description,
  { dataStart, dataSize, file }: { dataStart: number; dataSize: number; file: string },
): Range {
  const tensor = `tensor "${brief(name)}"`;
  const { dtype, bits } = typeOf(type) ?? {};
  if (dtype === undefined) {
    throw invalid(file, `${tensor} has the element type ${shown(type)}, which is none`);
  }
  if (shape === undefined) throw invalid(file, `${tensor} has no shape`);
  if (offsets?.length !== 2) throw invalid(file, `${tensor} has no data_offsets [begin, end]`);
  const [begin, end] = offsets as [number, number];
  if (begin > end || end > dataSize) {
    throw invalid(
      file,
      `${tensor} claims the bytes ${begin} to ${end} of ${dataSize}; the file is cut off or damaged`,
    );
  }
  const size = bits === undefined ? end - begin : byteSize(bits, shape);
  if (size !== end - begin) {
    const needs = size === undefined ? 'more than can be addressed' : `${size} bytes`;
    throw invalid(
      file,
      `${tensor} has ${end - begin} bytes, but ${dtype} ${formatShape(shape)} needs ${needs}`,
    );
  }
  return { name, entry: { dtype, shape, offset: dataStart + begin, length: end - begin }, begin, end };
}

/** The type of this name, and how many bits an element of it has, where that is known. */
function typeOf(name: string | undefined): { dtype: StoredType; bits: number | undefined } | undefined {
  if (name === undefined) return undefined;
  const dtype = Object.hasOwn(DTYPES, name) ? DTYPES[name] : undefined;
  if (dtype !== undefined) return { dtype, bits: 8 * bytesPerElement(dtype) };
  if (!TYPE_NAME.test(name)) return undefined;
  return { dtype: name as ForeignType, bits: FOREIGN_BITS.get(name) };
}

/**
 * The bytes of a tensor; undefined when a partial product leaves the exact integers, as the reference refuses overflow
 * before a zero.
 */
function byteSize(bitsPerElement: number, shape: Shape): number | undefined {
  let size = bitsPerElement;
  for (const length of shape) {
    size *= length;
    if (!Number.isSafeInteger(size)) return undefined;
  }
  return size / 8;
}

export function invalid(file: string, what: string, cause?: unknown): InputError {
  return new InputError(`${file} is not a readable safetensors file: ${what}`, {
    cause,
    path: file,
    code: 'damaged',
  });
}
