/** EXIF blocks (CIPA DC-008), of which cameras write much and this reads two things: how to turn a picture, and texts. */

import { InputError } from '../../errors.ts';
import { bytesOf, numberOf, readTiffDirectory, subDirectory, type TiffDirectory } from './tiff-directory.ts';

/**
 * Where row 0 and column 0 of the stored pixels belong: 1 top and left, 2 top and right, 3 bottom and right, 4 bottom
 * and left, 5 left and top, 6 right and top, 7 right and bottom, 8 left and bottom.
 */
export type Orientation = 1 | 2 | 3 | 4 | 5 | 6 | 7 | 8;

const ORIENTATION = 0x0112;
const MAKE = 0x010f;
const MODEL = 0x0110;
const EXIF_DIRECTORY = 0x8769;
const USER_COMMENT = 0x9286;

/** How a directory says that its picture is to be turned. */
export function orientationOf(directory: TiffDirectory): Orientation {
  const value = numberOf(directory, ORIENTATION, 1);
  return (value >= 1 && value <= 8 ? value : 1) as Orientation;
}

/** The same for a block. A damaged one, which is common, says nothing, as in every other program. */
export function exifOrientation(block: Uint8Array | undefined): Orientation {
  if (block === undefined) return 1;
  try {
    return orientationOf(readTiffDirectory(block, 'EXIF block'));
  } catch (error) {
    if (error instanceof InputError) return 1;
    throw error;
  }
}

export interface ExifTexts {
  /** Where Automatic1111 and Forge put the `parameters` of a JPEG, WebP or AVIF file. */
  readonly userComment?: string;
  /** Where ComfyUI puts `prompt:{…}` and `workflow:{…}`. */
  readonly make?: string;
  readonly model?: string;
}

/** Throws InputError for a damaged block. */
export function exifTexts(block: Uint8Array): ExifTexts {
  const directory = readTiffDirectory(block, 'EXIF block');
  const exif = subDirectory(directory, EXIF_DIRECTORY);
  const comment = exif && bytesOf(exif, USER_COMMENT);
  const [make, model] = [MAKE, MODEL].map((tag) => bytesOf(directory, tag));
  return {
    ...(comment && { userComment: userComment(comment, directory.file.littleEndian) }),
    ...(make && { make: utf8(make) }),
    ...(model && { model: utf8(model) }),
  };
}

/** Eight bytes name the encoding. UNICODE is UTF-16 in either order: that of the block, or always the network's. */
function userComment(bytes: Uint8Array, littleEndian: boolean): string {
  const [encoding, text] = [utf8(bytes.subarray(0, 8)), bytes.subarray(8)];
  if (encoding !== 'UNICODE') return utf8(text);
  return new TextDecoder(isUtf16le(text, littleEndian) ? 'utf-16le' : 'utf-16be').decode(text);
}

/** In UTF-16 the upper bytes of most characters of a prompt are zero, which tells the order. */
function isUtf16le(text: Uint8Array, otherwise: boolean): boolean {
  const zeros = [0, 0];
  for (let i = 0; i < text.length; i++) if (text[i] === 0) zeros[i % 2]! += 1;
  return zeros[0] === zeros[1] ? otherwise : zeros[0]! < zeros[1]!;
}

/** Up to the zeros at the end. */
function utf8(bytes: Uint8Array): string {
  return new TextDecoder().decode(bytes).replace(/\0+$/, '');
}
