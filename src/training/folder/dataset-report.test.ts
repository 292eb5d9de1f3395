import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { createImage } from '../../images/image.ts';
import { encodePng } from '../../images/png.ts';
import { datasetReport } from './dataset-report.ts';

let path: string;
beforeAll(async () => {
  path = await mkdtemp(join(tmpdir(), 'report-'));
});
afterAll(() => rm(path, { recursive: true }));

async function picture(name: string, width: number, height: number, grey: number): Promise<number> {
  const data = new Uint8Array(width * height * 3).fill(grey);
  const bytes = await encodePng(createImage(width, height, 3, data));
  await writeFile(join(path, name), bytes);
  return bytes.length;
}

it('tells counts, sizes, captions, what is broken or there twice, and what a training takes', async () => {
  let bytes = 0;
  for (let i = 0; i < 20; i++) bytes += await picture(`${String(i).padStart(2, '0')}.png`, 16, 16, i);
  bytes += await picture('twin-of-03.png', 16, 16, 3);
  bytes += await picture('wide.png', 24, 8, 100);
  await writeFile(join(path, 'x.png'), 'a text');
  await writeFile(join(path, '00.txt'), 'A red house, red as a rose');
  await writeFile(join(path, '01.txt'), 'Das rote Haus');
  await writeFile(join(path, '02.txt'), 'a house');
  const report = await datasetReport({ path, resolution: 16 });
  expect(report).toEqual({
    pictures: 23,
    bytes: bytes + 6,
    leftOut: [],
    unreadable: [{ picture: 'x.png', fault: expect.stringMatching(/^it is no picture/) }],
    duplicates: [['03.png', 'twin-of-03.png']],
    sizes: {
      smallest: { width: 24, height: 8 },
      largest: { width: 16, height: 16 },
      commonest: [
        { width: 16, height: 16, pictures: 21 },
        { width: 24, height: 8, pictures: 1 },
      ],
      aspectRatios: [1, 1, 3],
      enlarged: 1,
    },
    captions: {
      with: 3,
      without: 19,
      distinct: 3,
      words: [2, 3, 7],
      // A word counts once in each caption.
      commonest: [
        { word: 'a', captions: 2 },
        { word: 'house', captions: 2 },
        ...['as', 'das', 'haus', 'red', 'rose', 'rote'].map((word) => ({ word, captions: 1 })),
      ],
    },
    training: { accepted: true, pictures: 21, examples: 21, test: 1 },
  });
  await writeFile(join(path, 'y.png'), '');
  await writeFile(join(path, 'z.png'), '');
  expect((await datasetReport({ path, resolution: 16 })).training.accepted).toBe(false);
});
