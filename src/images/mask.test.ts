import { describe, expect, it } from 'vitest';
import { createImage, flatten, type Image } from './image.ts';
import { type MaskReading, readMask } from './mask.ts';

type Color = readonly [red: number, green: number, blue: number, alpha: number];

const CLEAR: Color = [0, 0, 0, 0];
const BLACK: Color = [0, 0, 0, 255];
const WHITE: Color = [255, 255, 255, 255];

/** 8×8 pixels, of which those in the middle 4×4 and the others are given by their place. */
function picture(inside: (i: number) => Color, outside: (i: number) => Color): Image {
  const image = createImage(8, 8, 4);
  for (let i = 0; i < 64; i++) image.data.set(isInside(i) ? inside(i) : outside(i), 4 * i);
  return image;
}

function isInside(i: number): boolean {
  return [i % 8, Math.floor(i / 8)].every((at) => at >= 2 && at < 6);
}

const photo = (i: number): Color => [(i * 37) % 256, (i * 11) % 256, 255 - i, 255];
const plain = (color: Color) => () => color;
const faint = ([red, green, blue]: Color): Color => [red, green, blue, 100];

describe('a mask', () => {
  const meansInside: readonly (readonly [string, MaskReading, Image])[] = [
    ['white on black', 'brightness', picture(plain(WHITE), plain(BLACK))],
    ['white strokes on nothing', 'brightness', picture(plain(WHITE), plain(CLEAR))],
    [
      'white and black strokes on nothing',
      'brightness',
      picture(plain(WHITE), (i) => (i < 8 ? BLACK : CLEAR)),
    ],
    ['black strokes on nothing', 'strokes', picture(plain(BLACK), plain(CLEAR))],
    ['red strokes on nothing', 'strokes', picture(plain([220, 20, 30, 255]), plain(CLEAR))],
    ['red strokes on faint red', 'strokes', picture(plain([220, 20, 30, 255]), plain([220, 20, 30, 20]))],
    ['a hole in a picture', 'hole', picture(plain(CLEAR), photo)],
    ['a hole whose colours are kept', 'hole', picture((i) => faint(photo(i)), photo)],
    ['a hole in black', 'hole', picture(plain(CLEAR), plain(BLACK))],
    ['a hole in grey', 'hole', picture(plain(CLEAR), plain([128, 128, 128, 255]))],
  ];
  it.each(meansInside)('of %s is read by %s', (_, reading, image) => {
    const read = readMask(image);
    expect(read.reading).toBe(reading);
    const bright = Array.from({ length: 64 }, (_, i) => read.mask.data[3 * i]! >= 128);
    expect(bright).toEqual(Array.from({ length: 64 }, (_, i) => isInside(i)));
  });

  it('of a picture on nothing means what is around it', () => {
    const { mask, reading } = readMask(picture(photo, plain(CLEAR)));
    expect(reading).toBe('hole');
    expect([mask.data[0], mask.data[3 * 27]]).toEqual([255, 0]);
  });

  it('without transparency is what it was, colours and all', () => {
    const opaque = picture(photo, photo);
    expect(readMask(opaque)).toEqual({ mask: flatten(opaque), reading: 'brightness' });
    const rgb = flatten(opaque);
    expect(readMask(rgb).mask).toBe(rgb);
  });

  it('keeps soft edges', () => {
    const image = picture(plain(BLACK), plain(CLEAR));
    image.data[3] = 77;
    expect(Array.from(readMask(image).mask.data.subarray(0, 3))).toEqual([77, 77, 77]);
  });
});
