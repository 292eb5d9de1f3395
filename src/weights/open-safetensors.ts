/** Safetensors files wherever they lie: their headers are read, and the tensors stay where they are. */
import type { ByteSource } from '../files/files.ts';
import { LENGTH_BYTES, parseHeader, readHeaderLength } from './safetensors-header.ts';
import type { Weight, Weights } from './weights.ts';

export interface OpenedSafetensors {
  /** Ranges of the file; nothing but the header has been read. */
  readonly weights: Weights;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Reads the header. Throws InputError when the file is cut off or not valid. */
export async function safetensorsOf(source: ByteSource): Promise<OpenedSafetensors> {
  const { name: file, size } = source;
  const header = await source.read(LENGTH_BYTES, (await tensorsStart(source)) - LENGTH_BYTES);
  const { entries, metadata } = parseHeader(header, size, file);
  const weights = new Map<string, Weight>();
  for (const [name, { dtype, shape, offset, length }] of entries) {
    weights.set(name, { dtype, shape, storage: { kind: 'source', source, offset, length } });
  }
  return { weights, metadata };
}

/** The byte where the header has ended and the tensors begin. */
export async function tensorsStart(source: ByteSource): Promise<number> {
  const { name, size } = source;
  const start = await source.read(0, Math.min(LENGTH_BYTES, size));
  return LENGTH_BYTES + readHeaderLength(start, size, name);
}
