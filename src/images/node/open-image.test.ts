import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCanvas } from '@napi-rs/canvas';
import { afterAll, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { createImage, flatten } from '../image.ts';
import { encodePng } from '../png.ts';
import { openImage } from './open-image.ts';

const folder = mkdtempSync(join(tmpdir(), 'lcm-images-'));
afterAll(() => rmSync(folder, { recursive: true }));
const write = (name: string, bytes: Uint8Array) => {
  writeFileSync(join(folder, name), bytes);
  return join(folder, name);
};

it('opens PNG to the bit', async () => {
  const image = createImage(3, 2, 4);
  image.data.set(image.data.map((_, i) => i * 9));
  const path = write('a.png', await encodePng(image));
  expect(await openImage(path)).toEqual({ ...image, path });
});

it.each(['jpeg', 'webp'] as const)('opens %s, whatever the file is called', async (kind) => {
  const canvas = createCanvas(16, 8);
  const context = canvas.getContext('2d');
  context.fillStyle = 'rgb(200, 100, 50)';
  context.fillRect(0, 0, 16, 8);
  const image = flatten(await openImage(write(`${kind}.dat`, await canvas.encode(kind))));
  expect([image.width, image.height]).toEqual([16, 8]);
  const differences = image.data.map((value, i) => Math.abs(value - [200, 100, 50][i % 3]!));
  expect(Math.max(...differences)).toBeLessThanOrEqual(4);
});

it.each([
  [
    'text.png',
    Buffer.from('some words'),
    /picture .*text\.png cannot be read: it is no picture; save it as PNG, JPEG, WebP, AVIF, GIF, BMP or TIFF$/,
  ],
  ['photo.heic', Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic'), /it is HEIC; save it as PNG/],
  ['drawing.png', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>'), /it is SVG; save it as PNG/],
  ['short.jpg', Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0), /short\.jpg cannot be read/],
  ['empty.png', new Uint8Array(0), /empty\.png cannot be read: it is empty; save it as PNG/],
])('refuses %s', async (name, bytes, message) => {
  const opening = openImage(write(name, bytes));
  await expect(opening).rejects.toThrow(message);
  await expect(opening).rejects.toBeInstanceOf(InputError);
});

it.skipIf(process.platform === 'win32')(
  'opens neither devices nor pipes, which would never end',
  async () => {
    await expect(openImage('/dev/zero')).rejects.toThrow('/dev/zero is a device; expected a file');
    const pipe = join(folder, 'pipe.png');
    execFileSync('mkfifo', [pipe]);
    await expect(openImage(pipe)).rejects.toThrow(`${pipe} is a named pipe; expected a file`);
  },
);

it('says when there is no file', async () => {
  await expect(openImage(join(folder, 'none.png'))).rejects.toThrow(/none\.png: there is no such file/);
});
