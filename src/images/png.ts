/** PNG files: encoding of 8-bit RGB and RGBA with texts, decoding of every kind. */

import { InputError } from '../errors.ts';
import { deflate, inflate, inflateInto } from './deflate.ts';
import { exifOrientation } from './formats/exif.ts';
import { createImage, type Image } from './image.ts';
import { joinBytes } from './join-bytes.ts';
import { requireReadableSize } from './picture-size.ts';
import { type Chunk, readChunks, writeChunks } from './png-chunks.ts';
import { filterRows, unfilterRows } from './png-filters.ts';
import { ADAM7, type Pass, putPass, WHOLE } from './png-interlace.ts';
import { GREY, GREY_ALPHA, type Header, PALETTE, RGB, RGBA, SAMPLES, toImage } from './png-samples.ts';
import { type PngText, textChunk } from './png-text.ts';
import type { StoredPicture } from './stored-picture.ts';

/** Bytes of a colour profile: those of presses, the largest, have about 3 million. */
const LARGEST_PROFILE = 2 ** 24;

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
export async function encodePng(image: Image, text: PngText = {}): Promise<Uint8Array<ArrayBuffer>> {
  const { width, height, channels, data } = createImage(
    image.width,
    image.height,
    image.channels,
    image.data,
  );
  const pixels = await deflate(filterRows(data, width * channels, height, channels));
  const texts = Object.entries(text).map(([keyword, value]) => textChunk(keyword, value));
  return pngFile({ width, height, samples: channels }, texts, pixels);
}

/** A file of 8-bit samples: 1 (grey), 3 or 4 for each pixel, filtered and compressed; with what stands before them. */
export function pngFile(
  { width, height, samples }: { width: number; height: number; samples: 1 | 3 | 4 },
  chunks: readonly Chunk[],
  pixels: Uint8Array,
): Uint8Array<ArrayBuffer> {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, { 1: GREY, 3: RGB, 4: RGBA }[samples], 0, 0, 0], 8);
  return writeChunks([
    { type: 'IHDR', data: header },
    ...chunks,
    { type: 'IDAT', data: pixels },
    { type: 'IEND', data: new Uint8Array(0) },
  ]);
}

function readHeader({ type, data }: Chunk): Header & { passes: readonly Pass[] } {
  if (type !== 'IHDR' || data.length !== 13) {
    throw new InputError(
      `PNG file is damaged: expected a 13-byte IHDR first, found ${data.length} of ${type}`,
      { code: 'damaged' },
    );
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [bitDepth = 0, colorType = 0, compression, filter, interlace] = data.subarray(8);
  if (!COLOR_DEPTHS[colorType]?.includes(bitDepth)) {
    throw new InputError(`PNG file is damaged: no colour type ${colorType} with ${bitDepth} bits exists`, {
      code: 'damaged',
    });
  }
  if (compression !== 0 || filter !== 0) {
    throw new InputError(`PNG file: unknown compression ${compression} or filter method ${filter}`, {
      code: 'unsupported',
    });
  }
  if (interlace === undefined || interlace > 1) {
    throw new InputError(`PNG file: unknown interlacing ${interlace}`, { code: 'unsupported' });
  }
  requireReadableSize('PNG', width, height);
  return { width, height, bitDepth, colorType, passes: interlace === 1 ? ADAM7 : WHOLE };
}

/**
 * Decodes a PNG file. Grey and palettes become RGB, 16 bits are reduced to 8; the image has an alpha channel when
 * the file has one or names a transparent colour. The pixels are those that are stored: neither turned as an EXIF block
 * says, nor converted from the colours of a profile.
 *
 * @throws InputError when the file is no PNG, is damaged, or larger than `MAX_PIXELS`
 */
export async function decodePng(file: Uint8Array): Promise<Image> {
  return (await readPng(file)).image;
}

/** As `decodePng`, with what is to be done to the pixels. */
export async function readPng(file: Uint8Array): Promise<StoredPicture> {
  let header: ReturnType<typeof readHeader> | undefined;
  const chunks = new Map<string, Uint8Array>();
  const compressed: Uint8Array[] = [];
  for (const chunk of readChunks(file)) {
    if (header === undefined) header = readHeader(chunk);
    else if (chunk.type === 'IDAT') compressed.push(chunk.data);
    else if (chunk.type === 'PLTE' || /^[a-z]/.test(chunk.type)) chunks.set(chunk.type, chunk.data);
    else if (chunk.type !== 'IEND') {
      throw new InputError(`PNG file: ${chunk.type} is needed to show it and not known here`, {
        code: 'unsupported',
      });
    }
  }
  if (header === undefined) throw new InputError('PNG file is damaged: it has no IHDR', { code: 'damaged' });
  const image = await decodePixels(header, compressed, chunks.get('PLTE'), chunks.get('tRNS'));
  return {
    image,
    orientation: exifOrientation(chunks.get('eXIf')),
    profile: await profileOf(chunks.get('iCCP')),
  };
}

async function decodePixels(
  header: Header & { passes: readonly Pass[] },
  compressed: readonly Uint8Array[],
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
): Promise<Image> {
  const bitsPerPixel = SAMPLES[header.colorType]! * header.bitDepth;
  const passes = header.passes.flatMap((pass) => {
    const width = Math.ceil((header.width - pass.left) / pass.across);
    const height = Math.ceil((header.height - pass.top) / pass.down);
    // Small pictures have passes without a pixel, which are not stored.
    if (width <= 0 || height <= 0) return [];
    const rowBytes = Math.ceil((width * bitsPerPixel) / 8);
    return [{ pass, header: { ...header, width, height }, rowBytes, length: height * (rowBytes + 1) }];
  });
  const expected = passes.reduce((sum, { length }) => sum + length, 0);
  const { bytes, written } = await inflateInto(joinBytes(compressed), expected);
  if (written !== expected) {
    throw new InputError(`PNG file is damaged: expected ${expected} bytes of pixels, found ${written}`, {
      code: 'damaged',
    });
  }
  let image: Image | undefined;
  let at = 0;
  for (const { pass, header: part, rowBytes, length } of passes) {
    const rows = bytes.subarray(at, at + length);
    const data = unfilterRows(rows, rowBytes, part.height, Math.max(1, bitsPerPixel / 8));
    const pixels = toImage(data, rowBytes, part, palette, transparency);
    if (header.passes === WHOLE) return pixels;
    image ??= createImage(header.width, header.height, pixels.channels);
    putPass(pixels, pass, image);
    at += length;
  }
  return image!;
}

/** iCCP: a name, a compression, a zlib stream. One that cannot be read is passed over, as in other programs. */
async function profileOf(chunk: Uint8Array | undefined): Promise<Uint8Array | undefined> {
  if (chunk === undefined) return undefined;
  try {
    return await inflate(chunk.subarray(chunk.indexOf(0) + 2), LARGEST_PROFILE);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
