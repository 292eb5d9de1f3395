/** GIF files (GIF89a specification): a screen, and frames on it, of which the first is the picture. */

import { InputError } from '../../errors.ts';
import { joinBytes } from '../join-bytes.ts';
import { requireReadableSize } from '../picture-size.ts';
import { FileBytes } from './file-bytes.ts';
import type { PictureHeader } from './picture-header.ts';

const EXTENSION = 0x21;
const COMMENT = 0xfe;
const FRAME = 0x2c;

/** Reads up to the end of the first frame. Throws InputError when the file ends before. */
export function readGifHeader(data: Uint8Array): PictureHeader {
  const file = new FileBytes(data, 'GIF file', true);
  const screen = [file.uint16(6), file.uint16(8)] as const;
  let comment: Uint8Array | undefined;
  let at = 13 + colors(file.uint8(10));
  for (;;) {
    const kind = file.uint8(at);
    if (kind === EXTENSION) {
      const blocks = subBlocks(file, at + 2);
      if (file.uint8(at + 1) === COMMENT) comment ??= joinBytes(blocks.parts);
      at = blocks.end;
      continue;
    }
    if (kind !== FRAME)
      throw new InputError('GIF file is damaged: there is no picture in it', { code: 'not-found' });
    const frame = [1, 3, 5, 7].map((offset) => file.uint16(at + offset));
    const [left, top, width, height] = frame as [number, number, number, number];
    // Of the frame's colours and of the code size, the picture's blocks follow.
    subBlocks(file, at + 10 + colors(file.uint8(at + 9)) + 1);
    const size = { width: Math.max(screen[0], left + width), height: Math.max(screen[1], top + height) };
    requireReadableSize('GIF', size.width, size.height);
    return { ...size, comment };
  }
}

/** Bytes of the table of colours that the flags announce. */
function colors(flags: number): number {
  return flags & 0x80 ? 3 * 2 ** ((flags & 7) + 1) : 0;
}

/** Blocks of up to 255 bytes, each behind its length, up to one of none. */
function subBlocks(file: FileBytes, start: number): { parts: Uint8Array[]; end: number } {
  const parts: Uint8Array[] = [];
  for (let at = start; ; ) {
    const length = file.uint8(at);
    if (length === 0) return { parts, end: at + 1 };
    parts.push(file.slice(at + 1, length, 'a block'));
    at += 1 + length;
  }
}
