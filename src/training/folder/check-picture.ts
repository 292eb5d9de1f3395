/**
 * Whether a file is a whole picture, from its beginning and its end: what cannot be trained on is found before the
 * training begins, and not when its turn comes.
 */
import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { withRegularFile } from '../../files/node/regular-file.ts';
import { MAX_PIXELS } from '../../images/png.ts';

export interface CheckedPicture {
  /** Bytes of the file, its first and its last. */
  readonly size: number;
  readonly head: Buffer;
  readonly tail: Buffer;
  /** What is wrong with it. */
  readonly fault?: string | undefined;
}

/** Bytes that are read at the beginning and at the end. */
const SAMPLE = 4096;

export async function checkPicture(path: string): Promise<CheckedPicture> {
  try {
    return await withRegularFile(path, async (file, size) => {
      const length = Math.min(size, SAMPLE);
      const [head, tail] = [await at(file, 0, length), await at(file, size - length, length)];
      return { size, head, tail, fault: await faultOf({ file, size, head, tail }) };
    });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { size: 0, head: Buffer.alloc(0), tail: Buffer.alloc(0), fault: error.message };
  }
}

interface OpenPicture {
  readonly file: FileHandle;
  readonly size: number;
  readonly head: Buffer;
  readonly tail: Buffer;
}

async function faultOf(picture: OpenPicture): Promise<string | undefined> {
  const { head, size } = picture;
  if (size === 0) return 'it is empty';
  const latin = head.toString('latin1', 0, 16);
  if (latin.startsWith('\x89PNG\r\n\x1a\n')) return pngFault(picture);
  if (latin.startsWith('\xff\xd8\xff')) return jpegFault(picture);
  if (latin.startsWith('RIFF') && latin.startsWith('WEBP', 8)) {
    return size < 8 + head.readUInt32LE(4) ? CUT : undefined;
  }
  if (latin.startsWith('ftypavi', 4)) return avifFault(picture);
  return 'it is no PNG, JPEG, WebP or AVIF';
}

const CUT = 'it is cut off';

/** The last chunk: no data, its name, its checksum. */
const PNG_END = Buffer.from('0000000049454e44ae426082', 'hex');

async function pngFault({ file, size, head, tail }: OpenPicture): Promise<string | undefined> {
  if (head.toString('latin1', 12, 16) !== 'IHDR' || size < 33) return CUT;
  const pixels = head.readUInt32BE(16) * head.readUInt32BE(20);
  if (pixels > MAX_PIXELS) return `it has ${pixels} pixels, more than the ${MAX_PIXELS} that are read`;
  if (tail.subarray(-PNG_END.length).equals(PNG_END)) return undefined;
  // Something may follow the picture: go from chunk to chunk.
  for (let offset = 8; offset + 12 <= size; ) {
    const chunk = await at(file, offset, 8);
    if (chunk.toString('latin1', 4) === 'IEND') return undefined;
    offset += 12 + chunk.readUInt32BE(0);
  }
  return CUT;
}

async function jpegFault({ file, size, tail }: OpenPicture): Promise<string | undefined> {
  if (tail.at(-2) === 0xff && tail.at(-1) === 0xd9) return undefined;
  // Cameras append things. The end is looked for in the picture itself, because thumbnails before it have one, too.
  for (let offset = 2; offset + 4 <= size; ) {
    const marker = await at(file, offset, 4);
    if (marker[0] !== 0xff) return 'it is damaged';
    const isScan = marker[1] === 0xda;
    // Bytes that fill up the space before a marker.
    offset += marker[1] === 0xff ? 1 : 2 + marker.readUInt16BE(2);
    if (isScan)
      return (await at(file, offset, size - offset)).includes('\xff\xd9', 0, 'latin1') ? undefined : CUT;
  }
  return CUT;
}

/** Boxes follow each other, each with its length first: 0 for all that is left, 1 for a length of 64 bits. */
async function avifFault({ file, size }: OpenPicture): Promise<string | undefined> {
  for (let offset = 0; offset < size; ) {
    const box = await at(file, offset, 16);
    if (box.length < 8) return CUT;
    const short = box.readUInt32BE(0);
    if (short === 0) return undefined;
    const length = short === 1 && box.length === 16 ? Number(box.readBigUInt64BE(8)) : short;
    if (length < 8) return 'it is damaged';
    offset += length;
    if (offset > size) return CUT;
  }
  return undefined;
}

/** Up to `length` bytes from `offset` on, fewer at the end of the file. */
async function at(file: FileHandle, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.alloc(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
    if (bytesRead === 0) return bytes.subarray(0, done);
    done += bytesRead;
  }
  return bytes;
}
