/** What a picture's file says before its pixels: of which format it is, how large, and what it carries besides. */

import { InputError } from '../../errors.ts';
import { readAvifHeader } from './avif.ts';
import { readBmpHeader } from './bmp.ts';
import { readGifHeader } from './gif.ts';
import { readJpegHeader } from './jpeg.ts';
import { readTiffHeader } from './tiff.ts';
import { readWebpHeader } from './webp.ts';

export const pictureFormats = ['PNG', 'JPEG', 'WebP', 'AVIF', 'GIF', 'BMP', 'TIFF'] as const;

export type PictureFormat = (typeof pictureFormats)[number];

export interface PictureHeader {
  /** In pixels, as they are stored: the picture may be shown turned. The largest that the file declares. */
  readonly width: number;
  readonly height: number;
  /** The EXIF block, a TIFF structure. */
  readonly exif?: Uint8Array | undefined;
  /** GIF's. */
  readonly comment?: Uint8Array | undefined;
}

/** Those that are known by name, so that a message can say what a file is. */
const OTHERS: readonly (readonly [name: string, pattern: RegExp])[] = [
  ['HEIC', /^.{4}ftyp.*(hei[cxms]|hevc|mif1|msf1)/s],
  ['JPEG XL', /^(\xff\n|.{4}JXL )/s],
  ['JPEG 2000', /^.{4}jP {2}/s],
  ['SVG', /^\s*(<\?xml[^>]*>\s*)?<svg\s/],
  ['Photoshop', /^8BPS/],
  ['PDF', /^%PDF/],
];

const SIGNATURES: readonly (readonly [PictureFormat, RegExp])[] = [
  ['PNG', /^\x89PNG/],
  ['JPEG', /^\xff\xd8\xff/],
  ['WebP', /^RIFF.{4}WEBP/s],
  ['AVIF', /^.{4}ftyp.*avi[fs]/s],
  ['GIF', /^GIF8[79]a/],
  ['BMP', /^BM.{4}\0\0\0\0/s],
  ['TIFF', /^(II[*+]\0|MM\0[*+])/],
];

/** By how a file begins, whatever it is called; undefined for what is no picture of a format that is read. */
export function pictureFormat(file: Uint8Array): PictureFormat | undefined {
  const start = beginning(file);
  return SIGNATURES.find(([, signature]) => signature.test(start))?.[0];
}

/** As `pictureFormat`, but throws InputError where that is undefined. */
export function requirePictureFormat(file: Uint8Array): PictureFormat {
  const format = pictureFormat(file);
  if (format !== undefined) return format;
  const start = beginning(file);
  const other = OTHERS.find(([, signature]) => signature.test(start))?.[0];
  const found = file.length === 0 ? 'empty' : (other ?? 'no picture');
  const read = `${pictureFormats.slice(0, -1).join(', ')} or ${pictureFormats.at(-1)}`;
  throw new InputError(`it is ${found}; save it as ${read}`, { code: 'unsupported' });
}

/** As much as signatures and the brands of an ISO container need. */
function beginning(file: Uint8Array): string {
  return String.fromCharCode(...file.subarray(0, 64));
}

/** Of the formats that have no reader of their own here; PNG is read by `decodePng`. */
const READERS: Readonly<Record<Exclude<PictureFormat, 'PNG'>, (file: Uint8Array) => PictureHeader>> = {
  JPEG: readJpegHeader,
  WebP: readWebpHeader,
  AVIF: readAvifHeader,
  GIF: readGifHeader,
  BMP: readBmpHeader,
  TIFF: readTiffHeader,
};

/**
 * Walks through the file to its end, without decoding pixels.
 *
 * @throws InputError when it is damaged, cut off, or declares a size of nothing or of more than `MAX_PIXELS`
 */
export function readPictureHeader(file: Uint8Array, format: Exclude<PictureFormat, 'PNG'>): PictureHeader {
  return READERS[format](file);
}
