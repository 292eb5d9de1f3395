/**
 * Whether a file is a whole picture, from its beginning and its end: what cannot be trained on is found before the
 * training begins, and not when its turn comes.
 */
import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { withRegularFile } from '../../files/node/regular-file.ts';
import { isFrame } from '../../images/formats/jpeg.ts';
import { readPictureHeader, requirePictureFormat } from '../../images/formats/picture-header.ts';
import { webpSize } from '../../images/formats/webp.ts';
import { LARGEST_PICTURE_FILE, readPicture } from '../../images/node/open-image.ts';
import { requireReadableSize } from '../../images/picture-size.ts';

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
      return { size, head, tail, fault: await faultOf({ path, file, size, head, tail }) };
    });
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { size: 0, head: Buffer.alloc(0), tail: Buffer.alloc(0), fault: error.message };
  }
}

interface OpenPicture {
  readonly path: string;
  readonly file: FileHandle;
  readonly size: number;
  readonly head: Buffer;
  readonly tail: Buffer;
}

/** Undefined for a sound picture. Of the formats that large folders consist of only a few bytes are read. */
async function faultOf(picture: OpenPicture): Promise<string | undefined> {
  const { path, size, head } = picture;
  if (size > LARGEST_PICTURE_FILE) return `it is larger than ${LARGEST_PICTURE_FILE} bytes`;
  try {
    const format = requirePictureFormat(head);
    if (format === 'PNG') return await pngFault(picture);
    if (format === 'JPEG') return await jpegFault(picture);
    if (format === 'WebP') return webpFault(picture);
    readPictureHeader(await readPicture(path), format);
    return undefined;
  } catch (error) {
    if (error instanceof InputError) return error.message;
    throw error;
  }
}

const CUT = 'it is cut off';

/** The last chunk: no data, its name, its checksum. */
const PNG_END = Buffer.from('0000000049454e44ae426082', 'hex');

async function pngFault({ file, size, head, tail }: OpenPicture): Promise<string | undefined> {
  if (head.toString('latin1', 12, 16) !== 'IHDR' || size < 33) return CUT;
  requireReadableSize('PNG', head.readUInt32BE(16), head.readUInt32BE(20));
  if (tail.subarray(-PNG_END.length).equals(PNG_END)) return undefined;
  // Something may follow the picture: go from chunk to chunk.
  for (let offset = 8; offset + 12 <= size; ) {
    const chunk = await at(file, offset, 8);
    if (chunk.toString('latin1', 4) === 'IEND') return undefined;
    offset += 12 + chunk.readUInt32BE(0);
  }
  return CUT;
}

async function jpegFault({ file, size, head, tail }: OpenPicture): Promise<string | undefined> {
  const isWhole = tail.at(-2) === 0xff && tail.at(-1) === 0xd9;
  for (let offset = 2; offset + 10 <= size; ) {
    const segment = offset + 10 <= head.length ? head.subarray(offset) : await at(file, offset, 10);
    if (segment[0] !== 0xff) return 'it is damaged';
    const marker = segment[1]!;
    if (isFrame(marker)) requireReadableSize('JPEG', segment.readUInt16BE(7), segment.readUInt16BE(5));
    // Bytes that fill up the space before a marker.
    offset += marker === 0xff ? 1 : 2 + segment.readUInt16BE(2);
    if (marker !== 0xda) continue;
    // Cameras append things. The end is looked for in the picture itself, because thumbnails before it have one, too.
    const end = isWhole || (await at(file, offset, size - offset)).includes('\xff\xd9', 0, 'latin1');
    return end ? undefined : CUT;
  }
  return CUT;
}

function webpFault({ size, head }: OpenPicture): string | undefined {
  if (head.length < 32 || size < 8 + head.readUInt32LE(4)) return CUT;
  requireReadableSize('WebP', ...webpSize(head));
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
