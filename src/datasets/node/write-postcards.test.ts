import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../../errors.ts';
import { decodePng } from '../../images/png.ts';
import { readPngText } from '../../images/png-text.ts';
import { postcard } from '../postcards/postcards.ts';
import { renderPostcard } from '../postcards/render.ts';
import { createContext } from './canvas.ts';
import { writePostcards } from './write-postcards.ts';

let parent: string;
let directory: string;
beforeEach(async () => {
  parent = await mkdtemp(join(tmpdir(), 'postcards-'));
  directory = join(parent, 'data', 'train');
});
afterEach(() => rm(parent, { recursive: true, force: true }));

const metadata = async (): Promise<{ file_name: string; text: string; record: unknown }[]> =>
  (await readFile(join(directory, 'metadata.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('writePostcards', () => {
  it('writes pictures and their captions as an image folder', async () => {
    const progress: number[] = [];
    const options = {
      count: 40,
      split: 'train',
      seed: 2,
      onProgress: (done: number) => progress.push(done),
    } as const;
    expect(await writePostcards(directory, options)).toEqual({ written: 40, kept: 0 });
    expect(progress).toEqual([32, 40]);
    const lines = await metadata();
    expect(lines.length).toBe(40);
    const files = await readdir(directory);
    expect(files.sort()).toEqual(
      [...lines.map((line) => line.file_name), 'metadata.jsonl', 'postcards.json'].sort(),
    );
    const card = postcard(33, { split: 'train', seed: 2 });
    expect(lines[33]).toEqual({ file_name: '00000033.png', text: card.caption, record: card.record });
    const png = new Uint8Array(await readFile(join(directory, '00000033.png')));
    expect((await decodePng(png)).data).toEqual(renderPostcard(createContext(64, 64), card));
    expect(await readPngText(png)).toEqual({ Description: card.caption });
  });

  it('goes on where it was stopped, and grows', async () => {
    const controller = new AbortController();
    const stop = () => controller.abort(new Error('stopped'));
    const stopped = writePostcards(directory, {
      count: 70,
      split: 'test',
      signal: controller.signal,
      onProgress: stop,
    });
    await expect(stopped).rejects.toThrow('stopped');
    expect((await readdir(directory)).includes('metadata.jsonl')).toBe(false);
    expect(await writePostcards(directory, { count: 70, split: 'test' })).toEqual({ written: 38, kept: 32 });
    await rm(join(directory, '00000003.png'));
    expect(await writePostcards(directory, { count: 10, split: 'test' })).toEqual({ written: 1, kept: 9 });
    expect((await metadata()).length).toBe(70);
  });

  it('writes larger pictures of the same scenes', async () => {
    await writePostcards(directory, { count: 1, split: 'test', size: 128 });
    const { width, height, data } = await decodePng(
      new Uint8Array(await readFile(join(directory, '00000000.png'))),
    );
    expect([width, height]).toEqual([128, 128]);
    const card = postcard(0, { split: 'test', size: 128 });
    expect(data).toEqual(renderPostcard(createContext(128, 128), card));
    await expect(writePostcards(directory, { count: 1, split: 'test' })).rejects.toThrow(/"size":128/);
  });

  it('does not mix data sets', async () => {
    await writePostcards(directory, { count: 1, split: 'test' });
    await expect(writePostcards(directory, { count: 2, split: 'test', seed: 1 })).rejects.toThrow(/"seed":0/);
    await rm(join(directory, 'postcards.json'));
    await expect(writePostcards(directory, { count: 2, split: 'test' })).rejects.toThrow(
      /holds other pictures/,
    );
  });

  it('refuses a count or a folder that cannot be', async () => {
    await expect(writePostcards(directory, { count: 0, split: 'test' })).rejects.toThrow(UsageError);
    const file = join(parent, 'file');
    await writeFile(file, '');
    await expect(writePostcards(file, { count: 1, split: 'test' })).rejects.toThrow(InputError);
  });
});
