/** WebP files: a RIFF container of chunks (developers.google.com/speed/webp/docs/riff_container). */

import { InputError } from '../../errors.ts';
import { requireReadableSize } from '../picture-size.ts';
import { FileBytes } from './file-bytes.ts';
import type { PictureHeader } from './picture-header.ts';

const FIRST_CHUNK = 12;

/** The size that the first chunk declares, for which a file's first 32 bytes do. */
export function webpSize(head: Uint8Array): [width: number, height: number] {
  const file = new FileBytes(head, 'WebP file', true);
  return sizeIn(file, file.name(FIRST_CHUNK, 4), FIRST_CHUNK + 8) ?? [0, 0];
}

/** Throws InputError when the file is cut off or declares no size. */
export function readWebpHeader(data: Uint8Array): PictureHeader {
  const whole = new FileBytes(data, 'WebP file', true);
  const end = 8 + whole.uint32(4);
  const file = new FileBytes(whole.slice(0, end, 'what its header announces'), 'WebP file', true);
  let [width, height] = [0, 0];
  let exif: Uint8Array | undefined;
  for (let at = FIRST_CHUNK; at + 8 <= end; ) {
    const [name, length] = [file.name(at, 4), file.uint32(at + 4)];
    file.require(at + 8, length, `the chunk "${name}"`);
    const size = sizeIn(file, name, at + 8);
    // The canvas and the picture on it: a decoder allocates both.
    [width, height] = [Math.max(width, size?.[0] ?? 0), Math.max(height, size?.[1] ?? 0)];
    if (name === 'EXIF') exif = withoutPrefix(file.slice(at + 8, length, 'EXIF'));
    at += 8 + length + (length % 2);
  }
  requireReadableSize('WebP', width, height);
  return { width, height, exif };
}

function sizeIn(file: FileBytes, chunk: string, at: number): [width: number, height: number] | undefined {
  const uint24 = (offset: number) => file.uint16(offset) + 65536 * file.uint8(offset + 2);
  if (chunk === 'VP8X') return [uint24(at + 4) + 1, uint24(at + 7) + 1];
  if (chunk === 'VP8 ') {
    if (uint24(at + 3) !== 0x2a019d)
      throw new InputError('WebP file is damaged: no key frame in it', { code: 'damaged' });
    return [file.uint16(at + 6) & 0x3fff, file.uint16(at + 8) & 0x3fff];
  }
  if (chunk === 'VP8L') {
    const bits = file.uint32(at + 1);
    return [(bits & 0x3fff) + 1, ((bits >>> 14) & 0x3fff) + 1];
  }
  return undefined;
}

/** Some programs put the block in as JPEG files have it. */
function withoutPrefix(exif: Uint8Array): Uint8Array {
  return String.fromCharCode(...exif.subarray(0, 6)) === 'Exif\0\0' ? exif.subarray(6) : exif;
}
