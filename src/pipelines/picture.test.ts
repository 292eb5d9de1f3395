import { afterEach, expect, it, vi } from 'vitest';
import { UsageError } from '../errors.ts';
import { createImage } from '../images/image.ts';
import { decodePng } from '../images/png.ts';
import { readPngText } from '../images/png-text.ts';
import { Picture } from './picture.ts';

const image = createImage(2, 1, 3, Uint8Array.of(1, 2, 3, 4, 5, 6));
const picture = new Picture(image, { settings: async () => undefined, writeFile: undefined });

afterEach(() => vi.unstubAllGlobals());

it('is pixels alone where nobody knows its settings', async () => {
  const png = await picture.toPng();
  expect(await decodePng(png)).toEqual(image);
  expect(await readPngText(png)).toEqual({});
  const enlarged = await decodePng(await picture.toPng({ scale: 2 }));
  expect([enlarged.width, enlarged.height]).toEqual([4, 2]);
  expect([...enlarged.data.slice(0, 6)]).toEqual([1, 2, 3, 1, 2, 3]);
  expect((await picture.toBlob()).type).toBe('image/png');
});

it('gives a canvas opaque RGBA', () => {
  expect(() => picture.toImageData()).toThrow(UsageError);
  vi.stubGlobal(
    'ImageData',
    class {
      constructor(
        readonly data: Uint8ClampedArray,
        readonly width: number,
        readonly height: number,
      ) {}
    },
  );
  expect(picture.toImageData()).toMatchObject({
    width: 2,
    height: 1,
    data: Uint8ClampedArray.of(1, 2, 3, 255, 4, 5, 6, 255),
  });
});

it('says what to do where there are no files', async () => {
  await expect(picture.save('fox.png')).rejects.toThrow(/use toBlob\(\) or toPng\(\)/);
});
