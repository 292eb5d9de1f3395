/**
 * Pictures of every format that is read, against the pixels that Pillow gives for them: `ImageOps.exif_transpose`, and
 * where there is a colour profile `ImageCms.profileToProfile` into sRGB. `expected.json` says for each file which pixels
 * and how far each may be off: 0 but where colours are converted or were multiplied with alpha.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../src/errors.ts';
import { readPictureHeader, requirePictureFormat } from '../src/images/formats/picture-header.ts';
import type { Image } from '../src/images/image.ts';
import { decodePicture, openImage } from '../src/images/node/open-image.ts';

const folder = fileURLToPath(new URL('./fixtures/pictures/', import.meta.url));

interface Expected {
  readonly pictures: Readonly<Record<string, { readonly pixels: string; readonly tolerance: number }>>;
  readonly pixels: Readonly<Record<string, { width: number; height: number; rgba: string }>>;
}

const { pictures, pixels } = JSON.parse(readFileSync(`${folder}expected.json`, 'utf8')) as Expected;
const names = Object.keys(pictures);
const bytesOf = (name: string) => new Uint8Array(readFileSync(folder + name));

function rgbaOf({ width, height, channels, data }: Image): number[] {
  return Array.from({ length: width * height }, (_, i) => [
    ...data.subarray(i * channels, i * channels + 3),
    channels === 4 ? data[4 * i + 3]! : 255,
  ]).flat();
}

describe('a picture has the pixels that Pillow gives', () => {
  it.each(names)('%s', async (name) => {
    const { pixels: key, tolerance } = pictures[name]!;
    const { width, height, rgba } = pixels[key]!;
    const image = await openImage(folder + name);
    expect([image.width, image.height]).toEqual([width, height]);
    const [found, expected] = [rgbaOf(image), [...Buffer.from(rgba, 'base64')]];
    const alphas = (values: number[]) => values.filter((_, i) => i % 4 === 3);
    expect(alphas(found)).toEqual(alphas(expected));
    const errors = found.map((value, i) => {
      const alpha = expected[i - (i % 4) + 3]!;
      // What is not seen at all has no colour.
      return alpha === 0 ? 0 : (Math.abs(value - expected[i]!) * alpha) / 255;
    });
    expect(Math.max(...errors)).toBeLessThanOrEqual(tolerance);
  });
});

it('reads LZW codes of every width', async () => {
  const { data } = await openImage(`${folder}wide-codes-lzw.tif`);
  const grey = (i: number) => {
    const [x, y] = [i % 80, Math.floor(i / 80)];
    return (7 * x * x + 13 * y * y + 5 * x * y) % 251;
  };
  expect(Array.from(data)).toEqual(Array.from({ length: 3 * 80 * 80 }, (_, i) => grey(Math.floor(i / 3))));
});

it('tells the sizes that files declare', () => {
  for (const name of names) {
    const file = bytesOf(name);
    const format = requirePictureFormat(file);
    if (format === 'PNG') continue;
    const { width, height } = pixels[pictures[name]!.pixels]!;
    const header = readPictureHeader(file, format);
    // As they are stored: the shorter side first or last.
    expect([header.width, header.height].sort(), name).toEqual([width, height].sort());
  }
});

describe('what is no sound picture', () => {
  it.each(names)('%s, cut off, is refused', async (name) => {
    const file = bytesOf(name);
    const whole = await decodePicture(file);
    for (let length = 0; length < file.length; length += 5) {
      const cut = await decodePicture(file.subarray(0, length)).catch((error) => error);
      // What follows the picture may be missing: a comment, further frames.
      if (!(cut instanceof InputError)) expect({ length, cut }).toEqual({ length, cut: whole });
    }
    if (name.startsWith('animated')) return;
    const part = file.subarray(0, Math.floor(0.9 * file.length));
    await expect(decodePicture(part)).rejects.toThrow(/cut off|damaged/);
  });

  it('a file with changed bytes gives a picture or an InputError', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...names),
        fc.array(fc.tuple(fc.nat(), fc.constantFrom(0, 1, 127, 128, 255)), { minLength: 1, maxLength: 4 }),
        async (name, changes) => {
          const file = bytesOf(name);
          for (const [at, value] of changes) file[at % file.length] = value;
          const result = await decodePicture(file).catch((error) => error);
          if (result instanceof Error) {
            expect(result).toBeInstanceOf(InputError);
            expect(result.message.length).toBeLessThan(300);
          }
        },
      ),
      { numRuns: 1000 },
    );
  });

  const SIDE = 20_000;
  const BOTH = SIDE * 65537;
  const resizeTiff = (view: DataView, side: number) => {
    const fields = view.getUint32(4, true) + 2;
    for (const field of [0, 1]) view.setUint32(fields + 12 * field + 8, side, true);
  };
  const sizes: readonly (readonly [string, (view: DataView, find: (text: string) => number) => void])[] = [
    ['420.jpg', (view, find) => view.setUint32(find('\xff\xc0') + 5, BOTH)],
    ['progressive.jpg', (view, find) => view.setUint32(find('\xff\xc2') + 5, BOTH)],
    ['lossy.webp', (view, find) => view.setUint32(find('VP8 ') + 14, 0x3fff3fff)],
    ['lossless.webp', (view, find) => view.setUint32(find('VP8L') + 9, 0x0fffffff, true)],
    ['animated.webp', (view, find) => view.setUint32(find('VP8X') + 14, 0x7f007f00)],
    ['lossy.avif', (view, find) => view.setBigUint64(find('ispe') + 8, BigInt(2 ** 32 * SIDE + SIDE))],
    ['palette.gif', (view) => view.setUint32(6, BOTH)],
    ['frame.gif', (view, find) => view.setUint32(find('\x2c\x03\0') + 5, BOTH)],
    ['rgb.bmp', (view) => view.setBigUint64(18, 0x204e0000204e0000n)],
    ['top-down.bmp', (view) => view.setBigUint64(18, 0x204e0000e0b1ffffn)],
    ['raw.tif', (view) => resizeTiff(view, SIDE)],
  ];
  it.each(sizes)('%s, said to be huge, is refused before it is decoded', async (name, change) => {
    const file = bytesOf(name);
    const view = new DataView(file.buffer);
    const find = (text: string) => {
      const at = Buffer.from(file.buffer).indexOf(Buffer.from(text, 'latin1'));
      expect(at).toBeGreaterThan(0);
      return at;
    };
    change(view, find);
    const memory = process.memoryUsage().rss;
    const refusal = await decodePicture(file).catch((error) => error);
    expect(refusal).toBeInstanceOf(InputError);
    expect(refusal.message).toMatch(/expected at most 67108864 pixels; scale it down/);
    expect(process.memoryUsage().rss - memory).toBeLessThan(5e7);
  });
});
