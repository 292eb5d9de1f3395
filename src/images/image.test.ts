import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../errors.ts';
import { grid } from './grid.ts';
import { createImage, flatten, type Image, imageToTensor, tensorToImage } from './image.ts';
import { type ResizeFilter, resize } from './resize.ts';

function filled(width: number, height: number, color: number[]): Image {
  const image = createImage(width, height, color.length === 4 ? 4 : 3);
  for (let i = 0; i < image.data.length; i++) image.data[i] = color[i % color.length]!;
  return image;
}

describe('images and tensors', () => {
  it('convert both ways without loss', () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 3 * 6, maxLength: 3 * 6 }), (data) => {
        const image = createImage(3, 2, 3, data);
        expect(tensorToImage(imageToTensor(image), 3, 2)).toEqual(image);
      }),
    );
  });

  it('put channels in planes, from −1 to 1', () => {
    const image = createImage(2, 1, 3, Uint8Array.of(0, 255, 51, 255, 0, 204));
    expect(Array.from(imageToTensor(image))).toEqual([-1, 1, 1, -1, ...[-0.6, 0.6].map(Math.fround)]);
    const batch = new Float32Array(12);
    imageToTensor(image, batch, 6);
    expect(tensorToImage(batch, 2, 1, 1)).toEqual(image);
  });

  it('clamp, and round halves to even as torch does', () => {
    // (x / 2 + 0.5) · 255 = 127.5, 0.5 and 2.5 exactly or nearly; torch gives 128, 0 and 2.
    const tensor = Float32Array.of(-3, 7, Number.NaN, 0, -1 + 1 / 255, -1 + 5 / 255);
    expect(Array.from(tensorToImage(tensor, 2, 1).data)).toEqual([0, 0, 0, 255, 128, 2]);
  });

  it('lay transparency over white for models', () => {
    const image = createImage(2, 1, 4, Uint8Array.of(10, 20, 30, 255, 0, 0, 0, 0));
    expect(Array.from(flatten(image).data)).toEqual([10, 20, 30, 255, 255, 255]);
  });

  it('refuse data of another length', () => {
    expect(() => createImage(2, 2, 3, new Uint8Array(11))).toThrow('has 12 bytes, found 11');
    expect(() => createImage(2.5, 2, 3)).toThrow(UsageError);
    expect(() => tensorToImage(new Float32Array(11), 2, 2)).toThrow(UsageError);
  });
});

describe('contact sheets', () => {
  it('lay pictures out in rows with padding', () => {
    const [red, green, blue] = [
      filled(1, 1, [255, 0, 0]),
      filled(1, 1, [0, 255, 0]),
      filled(1, 1, [0, 0, 255]),
    ];
    const sheet = grid([red!, green!, blue!], { columns: 2, padding: 1, scale: 2, background: [9, 9, 9] });
    expect([sheet.width, sheet.height]).toEqual([7, 7]);
    const at = (x: number, y: number) =>
      Array.from(sheet.data.subarray(3 * (7 * y + x), 3 * (7 * y + x) + 3));
    expect([at(0, 0), at(3, 1), at(5, 5)]).toEqual([
      [9, 9, 9],
      [9, 9, 9],
      [9, 9, 9],
    ]);
    expect([at(1, 1), at(2, 2), at(4, 1), at(5, 2), at(1, 4), at(2, 5)]).toEqual([
      [255, 0, 0],
      [255, 0, 0],
      [0, 255, 0],
      [0, 255, 0],
      [0, 0, 255],
      [0, 0, 255],
    ]);
  });

  it('refuse nothing, mixed sizes and odd options', () => {
    expect(() => grid([])).toThrow(UsageError);
    expect(() => grid([filled(1, 1, [0, 0, 0]), filled(2, 1, [0, 0, 0])])).toThrow('1×1 and 2×1');
    expect(() => grid([filled(1, 1, [0, 0, 0])], { scale: 1.5 })).toThrow('scale 1.5');
  });
});

describe('resizing', () => {
  const filters: ResizeFilter[] = ['box', 'bicubic', 'lanczos'];

  it.each(filters)('%s keeps a plain colour, larger or smaller', (filter) => {
    for (const [width, height] of [
      [3, 9],
      [20, 5],
      [1, 1],
    ] as const) {
      expect(resize(filled(7, 7, [12, 200, 77]), width, height, filter)).toEqual(
        filled(width, height, [12, 200, 77]),
      );
    }
  });

  it('box averages areas', () => {
    const image = createImage(
      4,
      2,
      3,
      Uint8Array.from([0, 40, 100, 60, 20, 20, 100, 180].flatMap((v) => [v, v, v])),
    );
    expect(Array.from(resize(image, 2, 1, 'box').data)).toEqual([20, 20, 20, 110, 110, 110]);
  });

  it('gives what PIL gives', () => {
    const ramp = [0, 10, 40, 90, 160, 250, 120, 30];
    const image = createImage(8, 1, 3, Uint8Array.from(ramp.flatMap((v) => [v, v, v])));
    // Image.resize((width, 1), resample) of Pillow for the values above.
    const expected: [ResizeFilter, number[]][] = [
      ['box', [17, 125, 133]],
      ['box', [5, 65, 205, 75]],
      ['bicubic', [11, 136, 130]],
      ['bicubic', [0, 2, 11, 27, 51, 83, 123, 171, 241, 220, 124, 58, 23]],
      ['lanczos', [2, 142, 133]],
      ['lanczos', [0, 2, 11, 28, 51, 84, 117, 174, 245, 227, 127, 50, 25]],
    ];
    for (const [filter, values] of expected) {
      const resized = Array.from(resize(image, values.length, 1, filter).data);
      expect(resized, filter).toEqual(values.flatMap((v) => [v, v, v]));
    }
  });

  it('does not let transparent colours bleed', () => {
    const image = createImage(2, 1, 4, Uint8Array.of(200, 100, 50, 255, 0, 255, 0, 0));
    expect(Array.from(resize(image, 1, 1, 'box').data)).toEqual([200, 100, 50, 128]);
  });
});
