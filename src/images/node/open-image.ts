/**
 * Pictures in files, by one reader for all that takes pictures: PNG and TIFF are decoded here, PNG to the bit; JPEG,
 * WebP, AVIF, GIF and BMP by @napi-rs/canvas. Whatever the format, a picture is turned as its EXIF block says, its colours
 * are those of sRGB, of several frames it is the first, and one that is cut off is refused.
 */
import { InputError } from '../../errors.ts';
import { readBytes } from '../../files/node/regular-file.ts';
import { stillAvif } from '../formats/avif.ts';
import { readPictureHeader, requirePictureFormat } from '../formats/picture-header.ts';
import { readTiff } from '../formats/tiff.ts';
import type { Image } from '../image.ts';
import { oriented } from '../orientation.ts';
import { MAX_PIXELS } from '../picture-size.ts';
import { readPng } from '../png.ts';
import type { StoredPicture } from '../stored-picture.ts';
import { decodeByCanvas } from './canvas-image.ts';
import { toSrgb } from './color-profile.ts';

/** Bytes of a file with a picture: so many has the largest one that is read, uncompressed, with a margin for its texts. */
export const LARGEST_PICTURE_FILE = 8 * MAX_PIXELS + 2 ** 26;

/** The bytes of a picture. Throws InputError when there is no such file, or it is larger than any picture is. */
export async function readPicture(path: string): Promise<Uint8Array> {
  return readBytes(path, LARGEST_PICTURE_FILE);
}

/** Throws InputError, naming the file, when it is missing, damaged, cut off, too large or of another kind. */
export async function openImage(path: string): Promise<Image> {
  const file = await readPicture(path);
  try {
    return { ...(await decodePicture(file)), path };
  } catch (cause) {
    if (!(cause instanceof InputError)) throw cause;
    throw new InputError(`picture ${path} cannot be read: ${cause.message}`, {
      cause,
      path,
      code: cause.code,
    });
  }
}

/** The picture in a file's bytes. Throws InputError when they are damaged, cut off, too many pixels or of another kind. */
export async function decodePicture(file: Uint8Array): Promise<Image> {
  const format = requirePictureFormat(file);
  if (format === 'PNG') return shown(await readPng(file));
  if (format === 'TIFF') return shown(await readTiff(file));
  readPictureHeader(file, format);
  return decodeByCanvas(format === 'AVIF' ? stillAvif(file) : file);
}

async function shown({ image, orientation, profile }: StoredPicture): Promise<Image> {
  return oriented(profile === undefined ? image : await toSrgb(image, profile), orientation);
}
