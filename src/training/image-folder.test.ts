import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createCanvas } from '@napi-rs/canvas';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { imageFolderSource } from './image-folder.ts';

let path: string;
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'image-folder-'));
});
afterEach(() => rm(path, { recursive: true }));

/** A wide picture: red, and blue at both ends, where it is cut off. */
async function writePicture(name: string, kind: 'png' | 'jpeg' = 'png'): Promise<void> {
  const canvas = createCanvas(60, 20);
  const context = canvas.getContext('2d');
  context.fillStyle = 'blue';
  context.fillRect(0, 0, 60, 20);
  context.fillStyle = 'red';
  context.fillRect(15, 0, 30, 20);
  await writeFile(
    join(path, name),
    kind === 'png' ? canvas.toBuffer('image/png') : canvas.toBuffer('image/jpeg', 95),
  );
}

const open = (split: 'train' | 'test') => imageFolderSource({ path, resolution: 8, split });

it('takes captions from text files, and squares from the middle of the pictures', async () => {
  await mkdir(join(path, 'sub'));
  for (let i = 0; i < 20; i++) await writePicture(`sub/p${String(i).padStart(2, '0')}.jpg`, 'jpeg');
  await writeFile(join(path, 'sub/p03.txt'), 'a red square\n');
  const train = open('train');
  expect([train.size, train.caption(3), train.caption(4)]).toEqual([19, 'a red square', '']);
  expect(open('test').size).toBe(1);
  const pixels = await train.pixels([3, 0]);
  expect(pixels).toHaveLength(2 * 3 * 64);
  const mean = (from: number) => pixels.subarray(from, from + 64).reduce((sum, x) => sum + x, 0) / 64;
  expect(mean(0)).toBeGreaterThan(0.95);
  expect(mean(64)).toBeLessThan(-0.95);
  expect(mean(128)).toBeLessThan(-0.95);
});

it('takes captions from metadata.jsonl', async () => {
  for (let i = 0; i < 20; i++) await writePicture(`${i}.png`);
  const lines = Array.from({ length: 20 }, (_, i) =>
    JSON.stringify({ file_name: `${i}.png`, text: `number ${i}` }),
  );
  await writeFile(join(path, 'metadata.jsonl'), `${lines.join('\n')}\n`);
  expect(open('train').caption(7)).toBe('number 7');
  expect(open('test').caption(0)).toBe('number 19');
});

it('says what is wrong', async () => {
  expect(() => imageFolderSource({ path: join(path, 'none'), resolution: 8, split: 'train' })).toThrow(
    InputError,
  );
  expect(() => open('train')).toThrow(/0 pictures, too few/);
  await writeFile(join(path, 'metadata.jsonl'), '{"file_name": "gone.png", "text": "x"}\n');
  expect(() => open('train')).toThrow(/line 1: there is no gone.png/);
  await writeFile(join(path, 'metadata.jsonl'), 'nonsense\n');
  expect(() => open('train')).toThrow(/metadata\.jsonl, line 1 is not valid JSON: column 1/);
  await rm(join(path, 'metadata.jsonl'));
  await writeFile(join(path, 'broken.png'), 'not a picture');
  await expect(open('train').pixels([0])).rejects.toThrow(/broken.png cannot be read as a picture/);
});
