/** From the samples of PNG's colour types and bit depths to 8-bit RGB and RGBA. */

import { InputError } from '../errors.ts';
import { createImage, type Image } from './image.ts';

export const GREY = 0;
export const RGB = 2;
export const PALETTE = 3;
export const GREY_ALPHA = 4;
export const RGBA = 6;

/** Samples per pixel of the colour types. */
export const SAMPLES: Record<number, number> = {
  [GREY]: 1,
  [RGB]: 3,
  [PALETTE]: 1,
  [GREY_ALPHA]: 2,
  [RGBA]: 4,
};

export interface Header {
  width: number;
  height: number;
  /** Bits per sample: 1, 2, 4, 8 or 16. */
  bitDepth: number;
  colorType: number;
}

/** A reader of sample `index` of the row that starts at byte `start`. */
export function sampleReader(data: Uint8Array, bitDepth: number): (start: number, index: number) => number {
  if (bitDepth === 8) return (start, index) => data[start + index]!;
  if (bitDepth === 16) return (start, index) => data[start + 2 * index]! * 256 + data[start + 2 * index + 1]!;
  const perByte = 8 / bitDepth;
  const mask = 2 ** bitDepth - 1;
  return (start, index) => {
    const byte = data[start + Math.floor(index / perByte)]!;
    return (byte >> (8 - bitDepth * ((index % perByte) + 1))) & mask;
  };
}

function checkPalette(palette: Uint8Array | undefined): Uint8Array {
  if (palette === undefined || palette.length === 0 || palette.length % 3 !== 0 || palette.length > 768) {
    throw new InputError('PNG file is damaged: a palette of 1 to 256 colours is missing', {
      code: 'damaged',
    });
  }
  return palette;
}

/** The colour that a grey or RGB file declares transparent, as samples; null when there is none. */
function transparentColor(colorType: number, transparency: Uint8Array | undefined): number[] | null {
  if (transparency === undefined || (colorType !== GREY && colorType !== RGB)) return null;
  const samples = SAMPLES[colorType]!;
  if (transparency.length !== 2 * samples) {
    throw new InputError(
      `PNG file is damaged: expected ${2 * samples} bytes of tRNS, found ${transparency.length}`,
      { code: 'damaged' },
    );
  }
  return Array.from({ length: samples }, (_, i) => transparency[2 * i]! * 256 + transparency[2 * i + 1]!);
}

/**
 * Builds the image from unfiltered rows.
 *
 * @throws InputError for a missing palette, an index beyond it, or a malformed tRNS chunk
 */
export function toImage(
  data: Uint8Array,
  rowBytes: number,
  { width, height, bitDepth, colorType }: Header,
  palette?: Uint8Array,
  transparency?: Uint8Array,
): Image {
  if (bitDepth === 8 && transparency === undefined && (colorType === RGB || colorType === RGBA)) {
    return createImage(width, height, colorType === RGB ? 3 : 4, data);
  }
  const colors = colorType === PALETTE ? checkPalette(palette) : null;
  const transparent = transparentColor(colorType, transparency);
  const hasAlpha = colorType === GREY_ALPHA || colorType === RGBA || transparency !== undefined;
  const image = createImage(width, height, hasAlpha ? 4 : 3);
  const sample = sampleReader(data, bitDepth);
  const samples = SAMPLES[colorType]!;
  const grey = samples < 3;
  const scale = 255 / (2 ** bitDepth - 1);
  let out = 0;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const value = (channel: number): number => sample(y * rowBytes, x * samples + channel);
      if (colors !== null) {
        const index = value(0);
        if (3 * index >= colors.length) {
          throw new InputError(`PNG file is damaged: colour ${index} of a palette of ${colors.length / 3}`, {
            code: 'damaged',
          });
        }
        for (let c = 0; c < 3; c++) image.data[out++] = colors[3 * index + c]!;
        if (hasAlpha) image.data[out++] = transparency?.[index] ?? 255;
        continue;
      }
      for (let c = 0; c < 3; c++) image.data[out++] = Math.round(value(grey ? 0 : c) * scale);
      if (!hasAlpha) continue;
      if (transparent !== null) image.data[out++] = transparent.every((key, c) => value(c) === key) ? 0 : 255;
      else image.data[out++] = Math.round(value(samples - 1) * scale);
    }
  }
  return image;
}
