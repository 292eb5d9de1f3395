/**
 * TIFF files (TIFF 6.0) as scanners and picture editors save them: the first picture; grey, RGB, palettes and CMYK in
 * integers of 1 to 16 bits, in strips or tiles, with alpha. The libraries that there are either expand strips without
 * bound, or read neither tiles, CMYK nor PackBits.
 */

import { InputError } from '../../errors.ts';
import { createImage, type Image } from '../image.ts';
import { MAX_PIXELS, requireReadableSize } from '../picture-size.ts';
import { sampleReader } from '../png-samples.ts';
import type { StoredPicture } from '../stored-picture.ts';
import { orientationOf } from './exif.ts';
import type { PictureHeader } from './picture-header.ts';
import { expanderOf, undoPredictor } from './tiff-compression.ts';
import { bytesOf, numbersOf, readTiffDirectory, type TiffDirectory } from './tiff-directory.ts';

/** Tags. */
const WIDTH = 256;
const HEIGHT = 257;
const BITS_PER_SAMPLE = 258;
const COMPRESSION = 259;
const PHOTOMETRIC = 262;
const FILL_ORDER = 266;
const STRIP_OFFSETS = 273;
const SAMPLES_PER_PIXEL = 277;
const ROWS_PER_STRIP = 278;
const STRIP_BYTE_COUNTS = 279;
const PLANAR_CONFIGURATION = 284;
const PREDICTOR = 317;
const COLOR_MAP = 320;
const TILE_WIDTH = 322;
const TILE_HEIGHT = 323;
const TILE_OFFSETS = 324;
const TILE_BYTE_COUNTS = 325;
const INK_SET = 332;
const EXTRA_SAMPLES = 338;
const SAMPLE_FORMAT = 339;
const ICC_PROFILE = 34675;

/** Colour samples of a pixel, by photometric interpretation. */
const WHITE_IS_ZERO = 0;
const RGB = 2;
const PALETTE = 3;
const CMYK = 5;
const COLORS: Readonly<Record<number, number>> = {
  [WHITE_IS_ZERO]: 1,
  1: 1,
  [RGB]: 3,
  [PALETTE]: 1,
  [CMYK]: 4,
};

const ASSOCIATED_ALPHA = 1;
const UNASSOCIATED_ALPHA = 2;

export function readTiffHeader(data: Uint8Array): PictureHeader {
  return { ...sizeOf(readTiffDirectory(data, 'TIFF file')), exif: data };
}

function sizeOf(directory: TiffDirectory): { width: number; height: number } {
  const [width, height] = [one(directory, WIDTH, 0), one(directory, HEIGHT, 0)];
  requireReadableSize('TIFF', width, height);
  return { width, height };
}

function one(directory: TiffDirectory, tag: number, otherwise: number): number {
  return numbersOf(directory, tag)?.[0] ?? otherwise;
}

interface Layout {
  readonly width: number;
  readonly height: number;
  readonly bits: number;
  /** Of a pixel, in all. */
  readonly samples: number;
  readonly photometric: number;
  /** What the sample after the colours means. */
  readonly alpha: 'none' | 'associated' | 'unassociated';
}

/** Throws InputError for what is not read. */
function layoutOf(directory: TiffDirectory): Layout {
  const { width, height } = sizeOf(directory);
  const photometric = one(directory, PHOTOMETRIC, 1);
  const samples = one(directory, SAMPLES_PER_PIXEL, 1);
  const bits = numbersOf(directory, BITS_PER_SAMPLE) ?? [1];
  const colors = COLORS[photometric];
  const extra = numbersOf(directory, EXTRA_SAMPLES) ?? [];
  const facts: readonly (readonly [readable: boolean, found: string])[] = [
    [colors !== undefined, `photometric interpretation ${photometric}`],
    [photometric !== CMYK || one(directory, INK_SET, 1) === 1, 'inks other than CMYK'],
    [samples >= (colors ?? 1) && samples <= (colors ?? 1) + 4, `${samples} samples per pixel`],
    [
      bits.length > 0 && bits.every((each) => each === bits[0] && [1, 2, 4, 8, 16].includes(each)),
      `samples of ${[...new Set(bits)].slice(0, 4).join(' and ')} bits`,
    ],
    [one(directory, SAMPLE_FORMAT, 1) === 1, 'samples other than unsigned integers'],
    [one(directory, FILL_ORDER, 1) === 1, 'bits in reverse order'],
  ];
  const odd = facts.find(([readable]) => !readable);
  if (odd !== undefined) {
    throw new InputError(`TIFF file has ${odd[1]}, which are not read; save it as PNG`);
  }
  // Four samples of RGB without a word on the last are taken for RGBA, as other programs do.
  const kind = extra[0] ?? (photometric === RGB && samples === 4 ? UNASSOCIATED_ALPHA : 0);
  const alpha =
    samples === colors
      ? 'none'
      : kind === ASSOCIATED_ALPHA
        ? 'associated'
        : kind === UNASSOCIATED_ALPHA
          ? 'unassociated'
          : 'none';
  return { width, height, bits: bits[0]!, samples, photometric, alpha };
}

/** Throws InputError when the file is damaged, cut off, too large, or of a kind that is not read. */
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

/**
 * All samples, each scaled to 8 bits but for indices of palettes: [height, width, samples].
 */
async function readSamples(directory: TiffDirectory, layout: Layout): Promise<Uint8Array> {
  const { file } = directory;
  const { width, height, bits, samples, photometric } = layout;
  const expand = expanderOf(one(directory, COMPRESSION, 1));
  const predictor = one(directory, PREDICTOR, 1);
  if (predictor !== 1 && (predictor !== 2 || bits < 8)) {
    throw new InputError(`TIFF file has predictor ${predictor}, which is not read; save it without one`);
  }
  const separate = one(directory, PLANAR_CONFIGURATION, 1) === 2;
  const planes = separate ? samples : 1;
  const together = samples / planes;
  const tileWidth = one(directory, TILE_WIDTH, 0);
  const tiled = tileWidth > 0;
  const pieceWidth = tiled ? tileWidth : width;
  const pieceHeight = tiled
    ? one(directory, TILE_HEIGHT, 0)
    : Math.min(height, one(directory, ROWS_PER_STRIP, height));
  const offsets = numbersOf(directory, tiled ? TILE_OFFSETS : STRIP_OFFSETS) ?? [];
  const counts = numbersOf(directory, tiled ? TILE_BYTE_COUNTS : STRIP_BYTE_COUNTS) ?? [];
  const [across, down] = [Math.ceil(width / pieceWidth), Math.ceil(height / pieceHeight)];
  // Tiles are stored whole, and those at the edges reach beyond the picture, but not by another one.
  if (!(across * pieceWidth * down * pieceHeight <= 2 * MAX_PIXELS)) {
    throw new InputError(`TIFF file is damaged: its tiles are ${pieceWidth}×${pieceHeight}`);
  }
  if (Math.min(offsets.length, counts.length) < across * down * planes) {
    throw new InputError(
      `TIFF file is damaged: it tells the places of ${offsets.length} strips; expected ${across * down * planes}`,
    );
  }
  const rowBytes = Math.ceil((pieceWidth * together * bits) / 8);
  const scale = photometric === PALETTE ? 1 : 255 / (2 ** bits - 1);
  const out = new Uint8Array(width * height * samples);
  for (let piece = 0; piece < across * down * planes; piece++) {
    const plane = Math.floor(piece / (across * down));
    const [left, top] = [
      (piece % across) * pieceWidth,
      Math.floor((piece % (across * down)) / across) * pieceHeight,
    ];
    // The last strip has the rows that remain; tiles are always whole.
    const rows = tiled ? pieceHeight : Math.min(pieceHeight, height - top);
    const stored = file.slice(offsets[piece]!, counts[piece]!, 'a strip');
    const bytes = (await expand(stored, rows * rowBytes)).slice(0, rows * rowBytes);
    const values = valuesOf(bytes, bits, file.littleEndian);
    if (predictor === 2) undoPredictor(values, pieceWidth, together);
    const read = bits < 8 ? sampleReader(bytes, bits) : undefined;
    for (let y = 0; y < Math.min(rows, height - top); y++) {
      for (let x = 0; x < Math.min(pieceWidth, width - left); x++) {
        const to = ((top + y) * width + left + x) * samples + (separate ? plane : 0);
        for (let s = 0; s < together; s++) {
          const at = x * together + s;
          const value = read ? read(y * rowBytes, at) : values[y * pieceWidth * together + at]!;
          out[to + s] = Math.round(value * scale);
        }
      }
    }
  }
  return out;
}

/** Bytes as samples of 8 or 16 bits; those of fewer stay as they are packed. */
function valuesOf(bytes: Uint8Array, bits: number, littleEndian: boolean): Uint8Array | Uint16Array {
  if (bits !== 16) return bytes;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Uint16Array.from({ length: bytes.length / 2 }, (_, i) => view.getUint16(2 * i, littleEndian));
}

function toImage(samples: Uint8Array, layout: Layout, directory: TiffDirectory): Image {
  const { width, height, photometric, samples: count, alpha } = layout;
  const colors = COLORS[photometric]!;
  const palette = photometric === PALETTE ? paletteOf(directory, layout.bits) : undefined;
  const image = createImage(width, height, alpha === 'none' ? 3 : 4);
  const { data, channels } = image;
  for (let i = 0; i < width * height; i++) {
    const from = i * count;
    const first = samples[from]!;
    for (let c = 0; c < 3; c++) {
      data[i * channels + c] =
        photometric === CMYK
          ? mixed(samples[from + c]!, samples[from + 3]!)
          : photometric === RGB
            ? samples[from + c]!
            : photometric === WHITE_IS_ZERO
              ? 255 - first
              : palette
                ? palette[first]![c]!
                : first;
    }
    if (alpha === 'none') continue;
    const opacity = samples[from + colors]!;
    data[i * channels + 3] = opacity;
    if (alpha === 'unassociated' || opacity === 0) continue;
    for (let c = 0; c < 3; c++) {
      data[i * channels + c] = Math.min(255, Math.round((255 * data[i * channels + c]!) / opacity));
    }
  }
  return image;
}

/** An ink and black over white, from 0 (none) to 255. */
function mixed(ink: number, black: number): number {
  return Math.round(((255 - ink) * (255 - black)) / 255);
}

/** All reds, then all greens, then all blues, in 16 bits. */
function paletteOf(directory: TiffDirectory, bits: number): number[][] {
  const map = numbersOf(directory, COLOR_MAP) ?? [];
  const size = 2 ** bits;
  if (bits > 8 || map.length < 3 * size) {
    throw new InputError(`TIFF file is damaged: a palette of ${size} colours is missing`);
  }
  return Array.from({ length: size }, (_, i) => [0, 1, 2].map((c) => map[c * size + i]! >> 8));
}
