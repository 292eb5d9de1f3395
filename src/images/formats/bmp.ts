/** BMP files (Microsoft's BITMAPFILEHEADER and BITMAPINFOHEADER): a header, then rows of pixels. */

import { InputError } from '../../errors.ts';
import { requireReadableSize } from '../picture-size.ts';
import { FileBytes } from './file-bytes.ts';
import type { PictureHeader } from './picture-header.ts';

/** Pixels that are stored uncompressed, and those with masks for the channels. */
const PLAIN = [0, 3, 6];

/** Throws InputError when the file is cut off. */
export function readBmpHeader(data: Uint8Array): PictureHeader {
  const file = new FileBytes(data, 'BMP file', true);
  const [pixelsAt, headerSize] = [file.uint32(10), file.uint32(14)];
  if (headerSize < 12)
    throw new InputError(`BMP file is damaged: its header has ${headerSize} bytes`, { code: 'damaged' });
  // OS/2's has 16 bits for each side. A negative height means rows from the top.
  const short = headerSize === 12;
  const width = short ? file.uint16(18) : file.int32(18);
  const height = short ? file.uint16(20) : Math.abs(file.int32(22));
  const bits = file.uint16(short ? 24 : 28);
  const compression = short ? 0 : file.uint32(30);
  requireReadableSize('BMP', Math.max(0, width), height);
  const stored = PLAIN.includes(compression) ? height * 4 * Math.ceil((width * bits) / 32) : file.uint32(34);
  file.require(pixelsAt, stored, 'the picture');
  return { width, height };
}
