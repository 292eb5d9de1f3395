/** Samples of a TIFF picture: where its strips or tiles lie in the file, and what is in them. */

import { InputError } from '../../errors.ts';
import { MAX_PIXELS } from '../picture-size.ts';
import { sampleReader } from '../png-samples.ts';
import { type Expand, expanderOf, undoPredictor } from './tiff-compression.ts';
import { numberOf, numbersOf, type TiffDirectory } from './tiff-directory.ts';

/** Tags. */
const COMPRESSION = 259;
const STRIP_OFFSETS = 273;
const ROWS_PER_STRIP = 278;
const STRIP_BYTE_COUNTS = 279;
const PLANAR_CONFIGURATION = 284;
const PREDICTOR = 317;
const TILE_WIDTH = 322;
const TILE_HEIGHT = 323;
const TILE_OFFSETS = 324;
const TILE_BYTE_COUNTS = 325;

export interface SampleLayout {
  readonly width: number;
  readonly height: number;
  /** Of a sample: 1, 2, 4, 8 or 16. */
  readonly bits: number;
  /** Of a pixel, in all. */
  readonly samples: number;
  /** Whether samples are scaled to 8 bits; indices of palettes are not. */
  readonly scaled: boolean;
}

/** A strip or a tile, of one plane where planes are stored apart. */
interface Piece {
  readonly stored: Uint8Array;
  readonly left: number;
  readonly top: number;
  /** As it is stored; the last strip has the rows that remain, while tiles are whole and reach beyond the picture. */
  readonly rows: number;
  /** The first of its samples in a pixel. */
  readonly sample: number;
}

interface Pieces {
  readonly list: readonly Piece[];
  readonly width: number;
  /** Of a pixel in one piece. */
  readonly samples: number;
  readonly expand: Expand;
  /** Whether values are stored as differences to the pixel on the left. */
  readonly isDifferenced: boolean;
}

/** Throws InputError for what is not read, and when a piece is missing or cut off. */
export function piecesOf(directory: TiffDirectory, { width, height, bits, samples }: SampleLayout): Pieces {
  const expand = expanderOf(numberOf(directory, COMPRESSION, 1));
  const predictor = numberOf(directory, PREDICTOR, 1);
  if (predictor !== 1 && (predictor !== 2 || bits < 8)) {
    throw new InputError(`TIFF file has predictor ${predictor}, which is not read; save it without one`);
  }
  const planes = numberOf(directory, PLANAR_CONFIGURATION, 1) === 2 ? samples : 1;
  const tileWidth = numberOf(directory, TILE_WIDTH, 0);
  const isTiled = tileWidth > 0;
  const pieceWidth = isTiled ? tileWidth : width;
  const pieceHeight = isTiled
    ? numberOf(directory, TILE_HEIGHT, 0)
    : Math.min(height, numberOf(directory, ROWS_PER_STRIP, height));
  const [across, down] = [Math.ceil(width / pieceWidth), Math.ceil(height / pieceHeight)];
  // Tiles at the edges reach beyond the picture, but not by another one as large as is read.
  if (!(across * pieceWidth * down * pieceHeight <= 2 * MAX_PIXELS)) {
    throw new InputError(`TIFF file is damaged: its tiles are ${pieceWidth}×${pieceHeight}`, {
      code: 'damaged',
    });
  }
  const offsets = numbersOf(directory, isTiled ? TILE_OFFSETS : STRIP_OFFSETS) ?? [];
  const counts = numbersOf(directory, isTiled ? TILE_BYTE_COUNTS : STRIP_BYTE_COUNTS) ?? [];
  const count = across * down * planes;
  if (Math.min(offsets.length, counts.length) < count) {
    throw new InputError(
      `TIFF file is damaged: it tells the places of ${offsets.length} strips; expected ${count}`,
      { code: 'damaged' },
    );
  }
  const list = Array.from({ length: count }, (_, i): Piece => {
    const place = i % (across * down);
    const top = Math.floor(place / across) * pieceHeight;
    return {
      stored: directory.file.slice(offsets[i]!, counts[i]!, 'a strip'),
      left: (place % across) * pieceWidth,
      top,
      rows: isTiled ? pieceHeight : Math.min(pieceHeight, height - top),
      sample: Math.floor(i / (across * down)),
    };
  });
  return { list, width: pieceWidth, samples: samples / planes, expand, isDifferenced: predictor === 2 };
}

/** All samples, in 8 bits: [height, width, samples]. Throws InputError as `piecesOf`, and for damaged pieces. */
export async function readSamples(directory: TiffDirectory, layout: SampleLayout): Promise<Uint8Array> {
  const { width, height, bits, samples, scaled } = layout;
  const pieces = piecesOf(directory, layout);
  const row = pieces.width * pieces.samples;
  const rowBytes = Math.ceil((row * bits) / 8);
  const scale = scaled ? 255 / (2 ** bits - 1) : 1;
  const out = new Uint8Array(width * height * samples);
  for (const { stored, left, top, rows, sample } of pieces.list) {
    const bytes = (await pieces.expand(stored, rows * rowBytes)).slice(0, rows * rowBytes);
    const values = valuesOf(bytes, bits, directory.file.littleEndian);
    if (pieces.isDifferenced) undoPredictor(values, pieces.width, pieces.samples);
    const packed = bits < 8 ? sampleReader(bytes, bits) : undefined;
    for (let y = 0; y < Math.min(rows, height - top); y++) {
      for (let x = 0; x < Math.min(pieces.width, width - left); x++) {
        const to = ((top + y) * width + left + x) * samples + sample;
        for (let s = 0; s < pieces.samples; s++) {
          const at = x * pieces.samples + s;
          const value = packed ? packed(y * rowBytes, at) : values[y * row + at]!;
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
