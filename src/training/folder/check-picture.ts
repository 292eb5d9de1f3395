/**
 * Whether a file is a whole picture, from its beginning and its end: what cannot be trained on is found before the
 * training begins, and not when its turn comes.
 */
import { InputError } from '../../errors.ts';
import type { ByteSource } from '../../files/files.ts';
import { exifOrientation } from '../../images/formats/exif.ts';
import { isFrame } from '../../images/formats/jpeg.ts';
import { readPictureHeader, requirePictureFormat } from '../../images/formats/picture-header.ts';
import { webpSize } from '../../images/formats/webp.ts';
import { LARGEST_PICTURE_FILE } from '../../images/node/open-image.ts';
import { requireReadableSize } from '../../images/picture-size.ts';
import type { PictureSize } from '../data/picture-source.ts';
import type { FoundFile } from './listing.ts';

export interface CheckedPicture extends PictureSize {
  /** Bytes of the file, its first and its last. */
  readonly size: number;
  readonly head: Uint8Array;
  readonly tail: Uint8Array;
  /** What is wrong with it. */
  readonly fault?: string | undefined;
}

/** Bytes that are read at the beginning and at the end. */
const SAMPLE = 4096;

export async function checkPicture(found: FoundFile): Promise<CheckedPicture> {
  try {
    const source = await found.open();
    const length = Math.min(source.size, SAMPLE);
    const head = Buffer.from(await source.read(0, length));
    const tail = Buffer.from(await source.read(source.size - length, length));
    const picture = { source, size: source.size, head, tail };
    return { ...picture, ...(await looked(picture)) };
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    const nothing = new Uint8Array();
    return { size: 0, head: nothing, tail: nothing, width: 0, height: 0, fault: error.message };
  }
}

interface OpenPicture {
  readonly source: ByteSource;
  readonly size: number;
  readonly head: Buffer;
  readonly tail: Buffer;
}

/** Its size, as it is to be seen, and what is wrong with it. Of the formats that large folders consist of, little is read. */
async function looked(picture: OpenPicture): Promise<PictureSize & { fault?: string }> {
  const nothing = { width: 0, height: 0 };
  const { source, size, head } = picture;
  if (size > LARGEST_PICTURE_FILE)
    return { ...nothing, fault: `it is larger than ${LARGEST_PICTURE_FILE} bytes` };
  try {
    const format = requirePictureFormat(head);
    if (format === 'PNG') return await lookAtPng(picture);
    if (format === 'JPEG') return await lookAtJpeg(picture);
    if (format === 'WebP') return await lookAtWebp(picture);
    const { width, height, exif } = readPictureHeader(await source.read(0, size), format);
    return shownSize(width, height, exif);
  } catch (error) {
    if (error instanceof InputError) return { ...nothing, fault: error.message };
    throw error;
  }
}

/** As the picture is shown: turned by its EXIF block. */
function shownSize(width: number, height: number, exif: Uint8Array | undefined): PictureSize {
  return exifOrientation(exif) >= 5 ? { width: height, height: width } : { width, height };
}

const CUT = 'it is cut off';

async function lookAtPng(picture: OpenPicture): Promise<PictureSize> {
  const { source, size, head, tail } = picture;
  if (head.toString('latin1', 12, 16) !== 'IHDR' || size < 33) throw new InputError(CUT);
  const [width, height] = [head.readUInt32BE(16), head.readUInt32BE(20)];
  requireReadableSize('PNG', width, height);
  const isWhole = tail.subarray(-PNG_END.length).equals(PNG_END);
  let exif: Uint8Array | undefined;
  // From chunk to chunk: in the beginning for how it is turned, to the end where something follows the picture.
  for (let offset = 8; offset + 12 <= size; ) {
    const chunk = await at(picture, offset, 8);
    const [length, name] = [chunk.readUInt32BE(0), chunk.toString('latin1', 4)];
    if (name === 'eXIf' && length <= LARGEST_EXIF)
      exif = await source.read(offset + 8, Math.min(length, size - offset - 8));
    if (name === 'IEND' || (isWhole && name === 'IDAT')) return shownSize(width, height, exif);
    offset += 12 + length;
  }
  throw new InputError(CUT);
}

/** The last chunk: no data, its name, its checksum. */
const PNG_END = Buffer.from('0000000049454e44ae426082', 'hex');
/** What a segment of a JPEG file can hold. */
const LARGEST_EXIF = 2 ** 16;

async function lookAtJpeg(picture: OpenPicture): Promise<PictureSize> {
  const { size, tail } = picture;
  const isWhole = tail.at(-2) === 0xff && tail.at(-1) === 0xd9;
  let exif: Uint8Array | undefined;
  let [width, height] = [0, 0];
  for (let offset = 2; offset + 10 <= size; ) {
    const segment = await at(picture, offset, 10);
    if (segment[0] !== 0xff) throw new InputError('it is damaged');
    const marker = segment[1]!;
    const length = segment.readUInt16BE(2);
    if (isFrame(marker)) {
      [height, width] = [segment.readUInt16BE(5), segment.readUInt16BE(7)];
      requireReadableSize('JPEG', width, height);
    } else if (marker === 0xe1 && segment.toString('latin1', 4, 10) === 'Exif\0\0' && length > 8) {
      exif ??= await at(picture, offset + 10, length - 8);
    }
    // Bytes that fill up the space before a marker.
    offset += marker === 0xff ? 1 : 2 + length;
    if (marker !== 0xda) continue;
    // Cameras append things. The end is looked for in the picture itself, because thumbnails before it have one, too.
    const end = isWhole || (await at(picture, offset, size - offset)).includes('\xff\xd9', 0, 'latin1');
    if (!end) break;
    return shownSize(width, height, exif);
  }
  throw new InputError(CUT);
}

async function lookAtWebp(picture: OpenPicture): Promise<PictureSize> {
  const { size, head } = picture;
  const end = head.length < 32 ? size + 1 : 8 + head.readUInt32LE(4);
  if (size < end) throw new InputError(CUT);
  const [width, height] = webpSize(head);
  requireReadableSize('WebP', width, height);
  for (let offset = 12; offset + 8 <= end; ) {
    const chunk = await at(picture, offset, 8);
    const length = chunk.readUInt32LE(4);
    if (chunk.toString('latin1', 0, 4) === 'EXIF' && length <= LARGEST_EXIF) {
      const exif = await at(picture, offset + 8, length);
      const start = exif.toString('latin1', 0, 6) === 'Exif\0\0' ? 6 : 0;
      return shownSize(width, height, exif.subarray(start));
    }
    offset += 8 + length + (length % 2);
  }
  return { width, height };
}

/** Up to `length` bytes from `offset` on, fewer at the end of the file. */
async function at({ source, size, head }: OpenPicture, offset: number, length: number): Promise<Buffer> {
  if (offset + length <= head.length) return head.subarray(offset, offset + length);
  return Buffer.from(await source.read(offset, Math.max(0, Math.min(length, size - offset))));
}
