/** JPEG files (ITU-T T.81, annex B): segments behind markers, up to the end of the image. */

import { InputError } from '../../errors.ts';
import { requireReadableSize } from '../picture-size.ts';
import { FileBytes } from './file-bytes.ts';
import type { PictureHeader } from './picture-header.ts';

const EOI = 0xd9;
const SOS = 0xda;
const APP1 = 0xe1;
/** A decoder goes over the whole picture for each; programs write about ten. */
const MOST_SCANS = 500;
const EXIF = 'Exif\0\0';

/** Frame headers, which tell the size: C0 to CF but for the tables among them. */
export const isFrame = (marker: number) =>
  marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
/** Markers without a length: TEM, RST0 to RST7, SOI. */
const isAlone = (marker: number) => marker === 0x01 || (marker >= 0xd0 && marker <= 0xd8);

/** Throws InputError when it is cut off: a file without its end is missing rows, which a decoder paints grey. */
export function readJpegHeader(data: Uint8Array): PictureHeader {
  const file = new FileBytes(data, 'JPEG file', false);
  let size: { width: number; height: number } | undefined;
  let exif: Uint8Array | undefined;
  let scans = 0;
  let at = nextMarker(file, 2);
  for (;;) {
    const marker = file.uint8(at + 1);
    if (marker === EOI) break;
    if (isAlone(marker)) {
      at = nextMarker(file, at + 2);
      continue;
    }
    const length = file.uint16(at + 2);
    file.require(at + 2, length, 'a segment');
    if (isFrame(marker)) {
      const [height, width] = [file.uint16(at + 5), file.uint16(at + 7)];
      requireReadableSize('JPEG', width, height);
      size ??= { width, height };
    } else if (marker === APP1 && exif === undefined && length >= 8 && file.name(at + 4, 6) === EXIF) {
      exif = file.slice(at + 10, length - 8, 'EXIF');
    }
    if (marker === SOS) scans += 1;
    if (scans > MOST_SCANS)
      throw new InputError(`JPEG file is damaged: it has more than ${MOST_SCANS} scans`, { code: 'damaged' });
    at = nextMarker(file, at + 2 + length, marker === SOS);
  }
  if (size === undefined)
    throw new InputError('JPEG file is damaged: there is no picture in it', { code: 'not-found' });
  return { ...size, exif };
}

/**
 * Where the next marker begins. What lies before it is passed over: the pixels of a scan, in which FF 00 stands for FF,
 * and stray bytes elsewhere.
 */
function nextMarker({ data }: FileBytes, from: number, inScan = false): number {
  for (let at = from; ; at++) {
    at = data.indexOf(0xff, at);
    if (at < 0 || at + 1 >= data.length) {
      throw new InputError('JPEG file is cut off: the marker of its end is missing', { code: 'damaged' });
    }
    const next = data[at + 1]!;
    // Any number of FF may stand before a marker's own.
    if (next === 0xff || next === 0 || (inScan && next >= 0xd0 && next <= 0xd7)) continue;
    return at;
  }
}
