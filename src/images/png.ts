/** PNG files: encoding of 8-bit RGB and RGBA with texts, decoding of every kind that is not interlaced. */

import { InputError } from '../errors.ts';
import { deflate, inflate } from './deflate.ts';
import { createImage, type Image } from './image.ts';
import { type Chunk, readChunks, writeChunks } from './png-chunks.ts';
import { filterRows, unfilterRows } from './png-filters.ts';
import { GREY, GREY_ALPHA, type Header, PALETTE, RGB, RGBA, SAMPLES, toImage } from './png-samples.ts';
import { type PngText, textChunk } from './png-text.ts';

/** Larger pictures are refused before anything is allocated: 64 megapixels. */
export const MAX_PIXELS = 2 ** 26;

/** Bit depths that PNG allows for its colour types. */
const COLOR_DEPTHS: Record<number, readonly number[]> = {
  [GREY]: [1, 2, 4, 8, 16],
  [RGB]: [8, 16],
  [PALETTE]: [1, 2, 4, 8],
  [GREY_ALPHA]: [8, 16],
  [RGBA]: [8, 16],
};

/**
 * Encodes an image with its texts.
 *
 * @param text stored before the pixels, so that it can be read without them
 */
export async function encodePng(image: Image, text: PngText = {}): Promise<Uint8Array> {
  const { width, height, channels, data } = createImage(
    image.width,
    image.height,
    image.channels,
    image.data,
  );
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 3 ? RGB : RGBA, 0, 0, 0], 8);
  const pixels = await deflate(filterRows(data, width * channels, height, channels));
  return writeChunks([
    { type: 'IHDR', data: header },
    ...Object.entries(text).map(([keyword, value]) => textChunk(keyword, value)),
    { type: 'IDAT', data: pixels },
    { type: 'IEND', data: new Uint8Array(0) },
  ]);
}

function readHeader({ type, data }: Chunk): Header {
  if (type !== 'IHDR' || data.length !== 13) {
    throw new InputError(
      `PNG file is damaged: expected a 13-byte IHDR first, found ${data.length} of ${type}`,
    );
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [bitDepth = 0, colorType = 0, compression, filter, interlace] = data.subarray(8);
  if (!COLOR_DEPTHS[colorType]?.includes(bitDepth)) {
    throw new InputError(`PNG file is damaged: no colour type ${colorType} with ${bitDepth} bits exists`);
  }
  if (compression !== 0 || filter !== 0) {
    throw new InputError(`PNG file: unknown compression ${compression} or filter method ${filter}`);
  }
  if (interlace !== 0) {
    throw new InputError('PNG file is interlaced, which is not supported; save it without interlacing');
  }
  if (width === 0 || height === 0) throw new InputError(`PNG file is damaged: it is ${width}×${height}`);
  if (width * height > MAX_PIXELS) {
    throw new InputError(
      `PNG file is ${width}×${height}: expected at most ${MAX_PIXELS} pixels; scale it down`,
    );
  }
  return { width, height, bitDepth, colorType };
}

/** The IDAT chunks' data as one zlib stream. */
function joined(parts: readonly Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    whole.set(part, offset);
    offset += part.length;
  }
  return whole;
}

/**
 * Decodes a PNG file. Grey and palettes become RGB, 16 bits are reduced to 8; the image has an alpha channel when
 * the file has one or names a transparent colour.
 *
 * @throws InputError when the file is no PNG, is damaged, interlaced, or larger than `MAX_PIXELS`
 */
export async function decodePng(file: Uint8Array): Promise<Image> {
  let header: Header | undefined;
  let palette: Uint8Array | undefined;
  let transparency: Uint8Array | undefined;
  const compressed: Uint8Array[] = [];
  for (const chunk of readChunks(file)) {
    if (header === undefined) header = readHeader(chunk);
    else if (chunk.type === 'PLTE') palette = chunk.data;
    else if (chunk.type === 'tRNS') transparency = chunk.data;
    else if (chunk.type === 'IDAT') compressed.push(chunk.data);
    else if (/^[A-Z]/.test(chunk.type) && chunk.type !== 'IEND') {
      throw new InputError(`PNG file: ${chunk.type} is needed to show it and not known here`);
    }
  }
  if (header === undefined) throw new InputError('PNG file is damaged: it has no IHDR');
  const { width, height, bitDepth, colorType } = header;
  const bitsPerPixel = SAMPLES[colorType]! * bitDepth;
  const rowBytes = Math.ceil((width * bitsPerPixel) / 8);
  const expected = height * (rowBytes + 1);
  const rows = await inflate(joined(compressed), expected);
  if (rows.length !== expected) {
    throw new InputError(`PNG file is damaged: expected ${expected} bytes of pixels, found ${rows.length}`);
  }
  const data = unfilterRows(rows, rowBytes, height, Math.max(1, bitsPerPixel / 8));
  return toImage(data, rowBytes, header, palette, transparency);
}
