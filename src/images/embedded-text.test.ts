import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { readEmbeddedText } from './embedded-text.ts';
import { exifTexts } from './formats/exif.ts';

const folder = fileURLToPath(new URL('../../tests/fixtures/pictures/', import.meta.url));
const read = (name: string) => readEmbeddedText(new Uint8Array(readFileSync(folder + name)));

it("finds Automatic1111's text in every format that it writes", async () => {
  const { parameters } = await read('settings/automatic1111.png');
  expect(parameters).toMatch(
    /^a \(red:1\.2\) fox in the snow, 雪, .*\nby the sea\nNegative prompt: .*\nSteps: 20, /,
  );
  for (const format of ['jpg', 'webp', 'avif']) {
    expect(await read(`settings/automatic1111.${format}`), format).toEqual({ parameters });
  }
  expect(await read('settings/comment.gif')).toEqual({ parameters });
});

it("finds ComfyUI's graph in PNG and WebP", async () => {
  const png = await read('settings/comfyui.png');
  expect(Object.keys(png)).toEqual(['prompt', 'workflow']);
  expect(await read('settings/comfyui.webp')).toEqual(png);
});

it('finds nothing where there is nothing', async () => {
  for (const name of ['420.jpg', 'orientation6.webp', 'lossy.avif', 'palette.gif', 'rgb.bmp', 'raw.tif']) {
    expect(await read(name), name).toEqual({});
  }
  await expect(readEmbeddedText(new Uint8Array(3))).rejects.toThrow(InputError);
});

/** A block with one text in the user comment, as cameras and programs write them. */
function block(order: 'II' | 'MM', comment: Buffer): Uint8Array {
  const little = order === 'II';
  const bytes = Buffer.alloc(44 + comment.length);
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const field = (at: number, tag: number, type: number, count: number, value: number) => {
    view.setUint16(at, tag, little);
    view.setUint16(at + 2, type, little);
    view.setUint32(at + 4, count, little);
    view.setUint32(at + 8, value, little);
  };
  bytes.write(order, 'latin1');
  view.setUint16(2, 42, little);
  view.setUint32(4, 8, little);
  view.setUint16(8, 1, little);
  field(10, 0x8769, 4, 1, 26);
  view.setUint16(26, 1, little);
  field(28, 0x9286, 7, comment.length, 44);
  comment.copy(bytes, 44);
  return new Uint8Array(bytes);
}

it.each([
  ['UNICODE\0', 'utf16le'],
  ['ASCII\0\0\0', 'latin1'],
  ['\0\0\0\0\0\0\0\0', 'utf8'],
] as const)('reads user comments in %j', (name, encoding) => {
  const text = 'a fox, Steps: 4';
  for (const order of ['II', 'MM'] as const) {
    const comment = Buffer.concat([Buffer.from(name), Buffer.from(text, encoding)]);
    expect(exifTexts(block(order, comment))).toEqual({ userComment: text });
    // UTF-16 in the other order of bytes, whatever that of the block.
    if (encoding === 'utf16le') {
      const swapped = Buffer.concat([Buffer.from(name), Buffer.from(text, encoding).swap16()]);
      expect(exifTexts(block(order, swapped))).toEqual({ userComment: text });
    }
  }
});

it('refuses what is damaged', () => {
  expect(() => exifTexts(block('II', Buffer.from('ASCII\0\0\0x')).subarray(0, 40))).toThrow(
    /EXIF block is cut off/,
  );
  expect(() => exifTexts(new Uint8Array(20))).toThrow(/EXIF block is damaged/);
});
