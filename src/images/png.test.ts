import { deflateSync } from 'node:zlib';
import { createCanvas, loadImage } from '@napi-rs/canvas';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../errors.ts';
import { createImage, type Image } from './image.ts';
import { MAX_PIXELS } from './picture-size.ts';
import { decodePng, encodePng } from './png.ts';
import { crc32, readChunks, writeChunks } from './png-chunks.ts';
import { readPngText } from './png-text.ts';

const ascii = (text: string): Uint8Array => new TextEncoder().encode(text);

function ihdr(width: number, height: number, bitDepth: number, colorType: number, interlace = 0): Uint8Array {
  const data = new Uint8Array(13);
  const view = new DataView(data.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  data.set([bitDepth, colorType, 0, 0, interlace], 8);
  return data;
}

/** A PNG file of raw rows, each beginning with its filter byte. */
function file(
  header: Uint8Array,
  rows: number[],
  extra: { type: string; data: Uint8Array }[] = [],
): Uint8Array {
  return writeChunks([
    { type: 'IHDR', data: header },
    ...extra,
    { type: 'IDAT', data: new Uint8Array(deflateSync(Uint8Array.from(rows))) },
    { type: 'IEND', data: new Uint8Array(0) },
  ]);
}

const anyImage = fc
  .record({
    width: fc.integer({ min: 1, max: 12 }),
    height: fc.integer({ min: 1, max: 12 }),
    channels: fc.constantFrom(3 as const, 4 as const),
  })
  .chain(({ width, height, channels }) =>
    fc
      .uint8Array({ minLength: width * height * channels, maxLength: width * height * channels })
      .map((data): Image => ({ width, height, channels, data })),
  );

/** A smooth picture, so that every filter type is chosen somewhere. */
function gradient(width: number, height: number): Image {
  const image = createImage(width, height, 3);
  for (let i = 0; i < image.data.length; i++) {
    const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
    image.data[i] = (i % 3 === 0 ? 4 * x : i % 3 === 1 ? 3 * y : x * y) & 0xff;
  }
  return image;
}

describe('PNG files', () => {
  it('come back as they were written', async () => {
    await fc.assert(
      fc.asyncProperty(anyImage, async (image) => {
        expect(await decodePng(await encodePng(image))).toEqual(image);
      }),
      { numRuns: 60 },
    );
    const smooth = gradient(60, 40);
    const png = await encodePng(smooth);
    expect(await decodePng(png)).toEqual(smooth);
    expect(png.length).toBeLessThan(smooth.data.length / 2);
  });

  it('are read by another decoder', async () => {
    const image = gradient(33, 21);
    const decoded = await loadImage(Buffer.from(await encodePng(image)));
    const context = createCanvas(33, 21).getContext('2d');
    context.drawImage(decoded, 0, 0);
    const rgba = context.getImageData(0, 0, 33, 21).data;
    expect(Array.from(rgba).filter((_, i) => i % 4 !== 3)).toEqual(Array.from(image.data));
  });

  it('are read from another encoder', async () => {
    const canvas = createCanvas(17, 9);
    const context = canvas.getContext('2d');
    context.fillStyle = '#3264c8';
    context.fillRect(3, 2, 9, 5);
    const { width, height, channels, data } = await decodePng(new Uint8Array(canvas.toBuffer('image/png')));
    expect([width, height, channels]).toEqual([17, 9, 4]);
    expect(Array.from(data)).toEqual(Array.from(context.getImageData(0, 0, 17, 9).data));
  });

  it('may be grey, with alpha, of a palette, of 16 bits or of one', async () => {
    const decode = async (...args: Parameters<typeof file>) =>
      Array.from((await decodePng(file(...args))).data);
    expect(await decode(ihdr(2, 1, 8, 0), [0, 7, 200])).toEqual([7, 7, 7, 200, 200, 200]);
    expect(await decode(ihdr(1, 1, 8, 4), [0, 7, 90])).toEqual([7, 7, 7, 90]);
    expect(await decode(ihdr(1, 1, 16, 2), [0, 128, 127, 255, 255, 0, 0])).toEqual([128, 255, 0]);
    expect(await decode(ihdr(3, 1, 1, 0), [0, 0b10100000])).toEqual([255, 255, 255, 0, 0, 0, 255, 255, 255]);
    const palette = { type: 'PLTE', data: Uint8Array.of(1, 2, 3, 4, 5, 6) };
    expect(await decode(ihdr(2, 1, 4, 3), [0, 0x10], [palette])).toEqual([4, 5, 6, 1, 2, 3]);
    const transparency = { type: 'tRNS', data: Uint8Array.of(9) };
    expect(await decode(ihdr(2, 1, 8, 3), [0, 1, 0], [palette, transparency])).toEqual([
      4, 5, 6, 255, 1, 2, 3, 9,
    ]);
    const key = { type: 'tRNS', data: Uint8Array.of(0, 7) };
    expect(await decode(ihdr(2, 1, 8, 0), [0, 7, 8], [key])).toEqual([7, 7, 7, 0, 8, 8, 8, 255]);
  });

  it('keep texts, whatever the script', async () => {
    const text = {
      parameters: 'a cottage\nSteps: 4, Sampler: LCM, CFG scale: 1.5, Seed: 7',
      Title: 'Café',
      prompt: '雪の中の城 🏰',
    };
    const png = await encodePng(gradient(4, 4), text);
    expect(await readPngText(png)).toEqual(text);
    expect([...readChunks(png)].map(({ type }) => type)).toEqual([
      'IHDR',
      'tEXt',
      'tEXt',
      'iTXt',
      'IDAT',
      'IEND',
    ]);
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme' }), async (value) => {
        expect(await readPngText(await encodePng(gradient(2, 2), { value }))).toEqual({ value });
      }),
      { numRuns: 40 },
    );
  });

  it('may hold compressed texts', async () => {
    const [latin1, unicode] = [ascii('deep '), new TextEncoder().encode('żółw')].map(
      (b) => new Uint8Array(deflateSync(b)),
    );
    const png = file(
      ihdr(1, 1, 8, 0),
      [0, 0],
      [
        { type: 'zTXt', data: Uint8Array.from([...ascii('a'), 0, 0, ...latin1!]) },
        { type: 'iTXt', data: Uint8Array.from([...ascii('b'), 0, 1, 0, ...ascii('pl'), 0, 0, ...unicode!]) },
      ],
    );
    expect(await readPngText(png)).toEqual({ a: 'deep ', b: 'żółw' });
  });

  it('are not read without end: many texts, long ones and ones that expand', async () => {
    const zeros = new Uint8Array(deflateSync(Buffer.alloc(9_000_000)));
    const long = { type: 'tEXt', data: Uint8Array.from([...ascii('a'), 0, ...new Array(1e5).fill(0xe9)]) };
    const packed = { type: 'zTXt', data: Uint8Array.from([...ascii('b'), 0, 0, ...zeros]) };
    const wide = { type: 'iTXt', data: Uint8Array.from([...ascii('c'), 0, 1, 0, 0, 0, ...zeros]) };
    const read = (...texts: { type: string; data: Uint8Array }[]) =>
      readPngText(file(ihdr(1, 1, 8, 0), [0, 0], texts));
    expect(await read(long)).toEqual({ a: 'é'.repeat(1e5) });
    expect((await read(packed)).b).toHaveLength(9_000_000);
    for (const texts of [
      [packed, packed],
      [packed, wide],
      [wide, packed, packed],
    ]) {
      await expect(read(...texts)).rejects.toThrow(
        'PNG texts: expected at most 16777216 bytes in all, found more',
      );
    }
    const small = { type: 'tEXt', data: Uint8Array.of(97, 0, 98) };
    await expect(read(...new Array(1001).fill(small))).rejects.toThrow('at most 1000, found more');
    await expect(read({ type: 'zTXt', data: Uint8Array.of(97, 0) })).rejects.toThrow('is cut off');
  });

  it('refuse keywords that PNG forbids', async () => {
    for (const keyword of ['', ' a', 'a ', 'a  b', 'x'.repeat(80), '鍵', 'a\0b']) {
      await expect(encodePng(gradient(1, 1), { [keyword]: 'text' })).rejects.toThrow(UsageError);
    }
  });
});

describe('what is no sound PNG file', () => {
  const cases: [string, Uint8Array, RegExp][] = [
    ['another format', ascii('GIF89a..........'), /signature/],
    ['unknown interlacing', file(ihdr(1, 1, 8, 0, 2), [0, 0]), /interlacing 2/],
    ['an impossible depth', file(ihdr(1, 1, 4, 2), [0, 0]), /colour type 2 with 4 bits/],
    ['no size', file(ihdr(0, 1, 8, 0), [0]), /0×1/],
    ['a huge size', file(ihdr(2 ** 31, 2 ** 31, 8, 6), [0]), new RegExp(`at most ${MAX_PIXELS}`)],
    ['missing rows', file(ihdr(2, 2, 8, 0), [0, 1, 2]), /expected 6 bytes of pixels, found 3/],
    ['too many rows', file(ihdr(1, 1, 8, 0), [0, 1, 0, 1]), /at most 2/],
    ['an unknown filter', file(ihdr(1, 1, 8, 0), [5, 1]), /filter 5/],
    ['a missing palette', file(ihdr(1, 1, 8, 3), [0, 0]), /palette/],
    [
      'an index beyond the palette',
      file(ihdr(1, 1, 8, 3), [0, 1], [{ type: 'PLTE', data: new Uint8Array(3) }]),
      /colour 1/,
    ],
    [
      'an unknown critical chunk',
      file(ihdr(1, 1, 8, 0), [0, 1], [{ type: 'NEED', data: new Uint8Array(0) }]),
      /NEED/,
    ],
  ];
  it.each(cases)('%s is named', async (_, bytes, message) => {
    await expect(decodePng(bytes)).rejects.toThrow(InputError);
    await expect(decodePng(bytes)).rejects.toThrow(message);
  });

  it('a bomb stops at the size that the header promises', async () => {
    const bomb = writeChunks([
      { type: 'IHDR', data: ihdr(8, 8, 8, 2) },
      { type: 'IDAT', data: new Uint8Array(deflateSync(new Uint8Array(2 ** 26))) },
      { type: 'IEND', data: new Uint8Array(0) },
    ]);
    await expect(decodePng(bomb)).rejects.toThrow(/at most 200 bytes/);
  });

  it('every cut and every changed byte gives a picture or an InputError', async () => {
    const png = await encodePng(gradient(9, 7), { note: 'kept' });
    const orInputError = (promise: Promise<unknown>) =>
      promise.catch((error: unknown) => expect(error).toBeInstanceOf(InputError));
    for (let length = 0; length < png.length; length++) {
      await expect(decodePng(png.subarray(0, length))).rejects.toThrow(InputError);
    }
    await fc.assert(
      fc.asyncProperty(
        fc.nat(png.length - 1),
        fc.integer({ min: 1, max: 255 }),
        fc.boolean(),
        async (at, flip, mend) => {
          const broken = png.slice();
          broken[at]! ^= flip;
          if (mend) mendChecksums(broken);
          await orInputError(decodePng(broken));
          await orInputError(readPngText(broken));
        },
      ),
      { numRuns: 300 },
    );
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (bytes) => {
        await expect(decodePng(Uint8Array.from([...png.subarray(0, 8), ...bytes]))).rejects.toThrow(
          InputError,
        );
      }),
      { numRuns: 60 },
    );
  });
});

/** Recomputes the CRCs of a damaged file as far as its lengths make sense, so that the damage gets past them. */
function mendChecksums(png: Uint8Array): void {
  const view = new DataView(png.buffer);
  for (let offset = 8; offset + 12 <= png.length; ) {
    const end = offset + 8 + view.getUint32(offset);
    if (end + 4 > png.length) return;
    view.setUint32(end, crc32(png.subarray(offset + 4, end)));
    offset = end + 4;
  }
}
