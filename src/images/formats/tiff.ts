/**
 * TIFF files (TIFF 6.0) as scanners and picture editors save them: the first picture; grey, RGB, palettes and CMYK in
 * integers of 1 to 16 bits, in strips or tiles, with alpha.
 */

import { InputError } from '../../errors.ts';
import { createImage, type Image } from '../image.ts';
import { requireReadableSize } from '../picture-size.ts';
import type { StoredPicture } from '../stored-picture.ts';
import { orientationOf } from './exif.ts';
import type { PictureHeader } from './picture-header.ts';
import { bytesOf, numberOf, numbersOf, readTiffDirectory, type TiffDirectory } from './tiff-directory.ts';
import { piecesOf, readSamples, type SampleLayout } from './tiff-samples.ts';

/** Tags. */
const WIDTH = 256;
const HEIGHT = 257;
const BITS_PER_SAMPLE = 258;
const PHOTOMETRIC = 262;
const FILL_ORDER = 266;
const SAMPLES_PER_PIXEL = 277;
const COLOR_MAP = 320;
const INK_SET = 332;
const EXTRA_SAMPLES = 338;
const SAMPLE_FORMAT = 339;
const ICC_PROFILE = 34675;

/** Photometric interpretations that are read, and their samples of colour. */
const WHITE_IS_ZERO = 0;
const BLACK_IS_ZERO = 1;
const RGB = 2;
const PALETTE = 3;
const CMYK = 5;
const COLORS: Readonly<Record<number, number>> = {
  [WHITE_IS_ZERO]: 1,
  [BLACK_IS_ZERO]: 1,
  [RGB]: 3,
  [PALETTE]: 1,
  [CMYK]: 4,
};

/** What the first sample after those of colour is, by TIFF's numbers. */
const ALPHA = { 1: 'associated', 2: 'unassociated' } as const;

interface Layout extends SampleLayout {
  readonly photometric: number;
  readonly colors: number;
  /** Associated: colours are multiplied with it. */
  readonly alpha: 'none' | 'associated' | 'unassociated';
}

/** Throws InputError when the file is damaged, cut off, too large, or of a kind that is not read. */
export function readTiffHeader(data: Uint8Array): PictureHeader {
  const directory = readTiffDirectory(data, 'TIFF file');
  const layout = layoutOf(directory);
  piecesOf(directory, layout);
  return { width: layout.width, height: layout.height, exif: data };
}

/** Throws InputError as `readTiffHeader`. */
export async function readTiff(data: Uint8Array): Promise<StoredPicture> {
  const directory = readTiffDirectory(data, 'TIFF file');
  const layout = layoutOf(directory);
  const samples = await readSamples(directory, layout);
  return {
    image: toImage(samples, layout, directory),
    orientation: orientationOf(directory),
    // Inks are mixed without their profile, as where they have none.
    profile: layout.photometric === CMYK ? undefined : bytesOf(directory, ICC_PROFILE),
  };
}

function layoutOf(directory: TiffDirectory): Layout {
  const [width, height] = [numberOf(directory, WIDTH, 0), numberOf(directory, HEIGHT, 0)];
  requireReadableSize('TIFF', width, height);
  const photometric = numberOf(directory, PHOTOMETRIC, BLACK_IS_ZERO);
  const samples = numberOf(directory, SAMPLES_PER_PIXEL, 1);
  const bits = numbersOf(directory, BITS_PER_SAMPLE) ?? [1];
  const colors = COLORS[photometric] ?? 0;
  const facts: readonly (readonly [readable: boolean, found: string])[] = [
    [colors > 0, `photometric interpretation ${photometric}`],
    [photometric !== CMYK || numberOf(directory, INK_SET, 1) === 1, 'inks other than CMYK'],
    [samples >= colors && samples <= colors + 4, `${samples} samples per pixel`],
    [
      bits.length > 0 && bits.every((each) => each === bits[0] && [1, 2, 4, 8, 16].includes(each)),
      `samples of ${[...new Set(bits)].slice(0, 4).join(' and ')} bits`,
    ],
    [numberOf(directory, SAMPLE_FORMAT, 1) === 1, 'samples other than unsigned integers'],
    [numberOf(directory, FILL_ORDER, 1) === 1, 'bits in reverse order'],
  ];
  const odd = facts.find(([readable]) => !readable);
  if (odd !== undefined) {
    throw new InputError(`TIFF file has ${odd[1]}, which are not read; save it as PNG`);
  }
  // Four samples of RGB without a word on the last are taken for RGBA, as other programs do.
  const extra = numbersOf(directory, EXTRA_SAMPLES)?.[0] ?? (photometric === RGB && samples === 4 ? 2 : 0);
  const alpha = (samples > colors && ALPHA[extra as keyof typeof ALPHA]) || 'none';
  return {
    width,
    height,
    bits: bits[0]!,
    samples,
    scaled: photometric !== PALETTE,
    photometric,
    colors,
    alpha,
  };
}

function toImage(samples: Uint8Array, layout: Layout, directory: TiffDirectory): Image {
  const { width, height, samples: count, colors, alpha } = layout;
  const color = colorReader(samples, layout, directory);
  const image = createImage(width, height, alpha === 'none' ? 3 : 4);
  const { data, channels } = image;
  for (let i = 0; i < width * height; i++) {
    const to = i * channels;
    for (let c = 0; c < 3; c++) data[to + c] = color(i * count, c);
    if (alpha === 'none') continue;
    const opacity = samples[i * count + colors]!;
    data[to + 3] = opacity;
    if (alpha === 'unassociated' || opacity === 0) continue;
    for (let c = 0; c < 3; c++) data[to + c] = Math.min(255, Math.round((255 * data[to + c]!) / opacity));
  }
  return image;
}

/** Red, green or blue (0, 1, 2) of the pixel whose samples begin at `from`. */
function colorReader(
  samples: Uint8Array,
  { photometric, bits }: Layout,
  directory: TiffDirectory,
): (from: number, c: number) => number {
  if (photometric === RGB) return (from, c) => samples[from + c]!;
  if (photometric === WHITE_IS_ZERO) return (from) => 255 - samples[from]!;
  if (photometric === BLACK_IS_ZERO) return (from) => samples[from]!;
  if (photometric === CMYK) {
    // An ink and black over white.
    return (from, c) => Math.round(((255 - samples[from + c]!) * (255 - samples[from + 3]!)) / 255);
  }
  // All reds, then all greens, then all blues, in 16 bits.
  const map = numbersOf(directory, COLOR_MAP) ?? [];
  const size = 2 ** bits;
  if (bits > 8 || map.length < 3 * size) {
    throw new InputError(`TIFF file is damaged: a palette of ${size} colours is missing`, {
      code: 'damaged',
    });
  }
  return (from, c) => map[c * size + samples[from]!]! >> 8;
}
