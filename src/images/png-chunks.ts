/** The container of PNG files: a signature, then chunks of length, type, data and CRC (PNG specification, 5). */

import { InputError } from '../errors.ts';

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

export interface Chunk {
  /** Four ASCII letters. */
  type: string;
  data: Uint8Array;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let value = byte;
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** CRC-32 of ISO 3309, as PNG uses it. */
export function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ CRC_TABLE[(crc ^ byte) & 0xff]!;
  return ~crc >>> 0;
}

/** A PNG file of the chunks in order. */
export function writeChunks(chunks: readonly Chunk[]): Uint8Array<ArrayBuffer> {
  const size = chunks.reduce((sum, { data }) => sum + 12 + data.length, SIGNATURE.length);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  file.set(SIGNATURE);
  let offset = SIGNATURE.length;
  for (const { type, data } of chunks) {
    view.setUint32(offset, data.length);
    for (let i = 0; i < 4; i++) file[offset + 4 + i] = type.charCodeAt(i);
    file.set(data, offset + 8);
    view.setUint32(offset + 8 + data.length, crc32(file.subarray(offset + 4, offset + 8 + data.length)));
    offset += 12 + data.length;
  }
  return file;
}

/**
 * Yields the chunks of a PNG file, up to and with IEND. Data are views into the file.
 *
 * @throws InputError when the file is no PNG, is cut off, or a CRC is wrong
 */
export function* readChunks(file: Uint8Array): Generator<Chunk> {
  if (file.length < SIGNATURE.length || SIGNATURE.some((byte, i) => file[i] !== byte)) {
    throw new InputError('not a PNG file: it does not start with the PNG signature');
  }
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  let offset = SIGNATURE.length;
  for (;;) {
    if (offset + 12 > file.length)
      throw new InputError('PNG file is cut off: no IEND chunk at its end', { code: 'damaged' });
    const length = view.getUint32(offset);
    const type = String.fromCharCode(...file.subarray(offset + 4, offset + 8));
    if (!/^[A-Za-z]{4}$/.test(type)) {
      throw new InputError(`PNG file is damaged: no chunk type at byte ${offset + 4}`, { code: 'damaged' });
    }
    const end = offset + 8 + length;
    if (end + 4 > file.length) {
      throw new InputError(`PNG file is cut off: ${type} at byte ${offset} claims ${length} bytes`, {
        code: 'damaged',
      });
    }
    if (view.getUint32(end) !== crc32(file.subarray(offset + 4, end))) {
      throw new InputError(`PNG file is damaged: wrong CRC in ${type} at byte ${offset}`, {
        code: 'damaged',
      });
    }
    yield { type, data: file.subarray(offset + 8, end) };
    if (type === 'IEND') return;
    offset = end + 4;
  }
}
