/** What every source of training pictures promises, held for all kinds of them. */
import { copyFile, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { encodePng } from '../../src/images/png.ts';
import { type PictureSource, postcardSource } from '../../src/training/data/picture-source.ts';
import { openImageFolder } from '../../src/training/folder/image-folder.ts';

const fixtures = fileURLToPath(new URL('../fixtures/training-data/', import.meta.url));
const COUNT = 6;
const indices = Array.from({ length: COUNT }, (_, i) => i);
const caption = (i: number) => `picture ${i}`;

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sources-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** Picture i of the fixtures, which Pillow wrote: 12×8 pixels. */
async function png(i: number): Promise<Uint8Array> {
  const data = Uint8Array.from({ length: 12 * 8 * 3 }, (_, at) => {
    const pixel = Math.floor(at / 3);
    return [20 * (pixel % 12), 30 * Math.floor(pixel / 12), 40 * i][at % 3]!;
  });
  return encodePng({ width: 12, height: 8, channels: 3, data });
}

type Files = readonly (readonly [name: string, content: string | Uint8Array])[];

const pictures = async (name = (i: number) => `${i}.png`): Promise<Files> =>
  Promise.all(indices.map(async (i) => [name(i), await png(i)] as const));
const texts = (name: (i: number) => string, text = caption): Files =>
  indices.map((i) => [name(i), text(i)] as const);

/** A tar archive as POSIX has it. */
function tar(files: Files): Uint8Array {
  const blocks = files.flatMap(([name, content]) => {
    const bytes = Buffer.from(content);
    const header = Buffer.alloc(512);
    header.write(name, 0);
    header.write(`${bytes.length.toString(8).padStart(11, '0')}\0`, 124);
    header.write('        0', 148);
    header.write('ustar\x0000', 257);
    const sum = header.reduce((sum, byte) => sum + byte, 0);
    header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
    return [header, bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)];
  });
  return Buffer.concat([...blocks, Buffer.alloc(1024)]);
}

async function write(at: string, files: Files): Promise<string> {
  for (const [name, content] of files) {
    await mkdir(dirname(join(folder, at, name)), { recursive: true });
    await writeFile(join(folder, at, name), content);
  }
  return join(folder, at);
}

async function fixture(at: string, ...names: readonly string[]): Promise<string> {
  await mkdir(join(folder, at), { recursive: true });
  for (const name of names) await copyFile(join(fixtures, name), join(folder, at, name));
  return join(folder, at);
}

/** Folders, archives and tables that hold the same six pictures with the same captions. */
const alike: Readonly<Record<string, () => Promise<string>>> = {
  'texts beside pictures': async () => write('texts', [...(await pictures()), ...texts((i) => `${i}.txt`)]),
  'JSON beside pictures': async () =>
    write('json', [
      ...(await pictures()),
      ...texts(
        (i) => `${i}.json`,
        (i) => JSON.stringify({ width: 12, caption: caption(i) }),
      ),
    ]),
  'metadata.jsonl': async () =>
    write('jsonl', [
      ...(await pictures()),
      [
        'metadata.jsonl',
        indices.map((i) => JSON.stringify({ file_name: `${i}.png`, text: caption(i) })).join('\n'),
      ],
    ]),
  'metadata.csv': async () =>
    write('csv', [
      ...(await pictures()),
      ['metadata.csv', `file_name,note\n${indices.map((i) => `${i}.png,${caption(i)}`).join('\n')}`],
    ]),
  'metadata.parquet': async () => {
    await write('metadata-parquet', await pictures());
    return fixture('metadata-parquet', 'metadata.parquet');
  },
  'names of folders': async () => write('labels', await pictures((i) => `picture_${i}/x.png`)),
  "kohya's folders": async () => write('kohya', await pictures((i) => `1_picture ${i}/x.png`)),
  'a tar archive': async () =>
    join(
      await write('tar', [['all.tar', tar([...(await pictures()), ...texts((i) => `${i}.txt`)])]]),
      'all.tar',
    ),
  'tar archives with JSON': async () => {
    const all = await pictures((i) => `./${i}.png`);
    const json = texts(
      (i) => `./${i}.json`,
      (i) => JSON.stringify({ caption: caption(i) }),
    );
    const shard = (...which: readonly number[]) => tar(which.flatMap((i) => [all[i]!, json[i]!]));
    return write('tars', [
      ['shard-0.tar', shard(0, 1, 2, 3)],
      ['shard-1.tar', shard(4, 5)],
    ]);
  },
  'a Parquet file with Snappy': async () =>
    join(await fixture('snappy', 'hub-snappy.parquet'), 'hub-snappy.parquet'),
  'Parquet files with gzip': async () => fixture('gzip', 'hub-gzip.parquet'),
};

const kinds: Readonly<Record<string, () => Promise<PictureSource>>> = {
  postcards: async () => postcardSource({ split: 'train', positionProbability: 0.5 }),
  ...Object.fromEntries(
    Object.entries(alike).map(([name, make]) => [
      name,
      async () => (await openImageFolder({ path: await make(), resolution: 8 })).train,
    ]),
  ),
};

describe.each(Object.entries(kinds))('%s', (name, open) => {
  let source: PictureSource;
  beforeAll(async () => {
    source = await open();
  });
  const one = 3 * 8 * 8;

  it('gives the same pictures in whatever company, and when it is opened again', async () => {
    const { height, width } = source;
    const plane = 3 * height * width;
    const together = await source.pixels([4, 0, 2]);
    expect(together).toHaveLength(3 * plane);
    expect(together.every((value) => value >= -1 && value <= 1)).toBe(true);
    expect(await source.pixels([0])).toEqual(together.slice(plane, 2 * plane));
    const again = await open();
    expect([again.identity, again.captionIdentity, again.size]).toEqual([
      source.identity,
      source.captionIdentity,
      source.size,
    ]);
    expect(await again.pixels([4, 0, 2])).toEqual(together);
  });

  it('has a picture, a size and a caption for every example', () => {
    for (const example of indices) {
      expect(source.pictureOf(example)).toBeLessThan(source.pictures);
      expect(source.sizeOf(source.pictureOf(example))).toEqual({
        height: source.height,
        width: source.width,
      });
      expect(source.caption(example)).not.toBe('');
    }
  });

  if (name === 'postcards') return;

  it('holds what the folder holds', async () => {
    expect([source.size, source.pictures]).toEqual([COUNT, COUNT]);
    expect(indices.map((i) => source.caption(i))).toEqual(indices.map(caption));
    const pixels = await source.pixels(indices);
    for (const i of indices) {
      // The blue of the corner of picture i, and the middle eight of its twelve columns.
      const picture = pixels.subarray(i * one, (i + 1) * one);
      expect(picture[2 * 64]).toBeCloseTo((40 * i) / 127.5 - 1, 5);
      expect([picture[0], picture[7]]).toEqual([40, 180].map((red) => expect.closeTo(red / 127.5 - 1, 5)));
    }
  });

  it('cuts where it is asked to, and exchanges left and right', async () => {
    const views = [0, 1, 0.25].map((position) => ({ position, flipped: false }));
    const pixels = await source.pixels([1, 1, 1], views);
    const red = (n: number, x: number) => Math.round((pixels[n * one + x]! + 1) * 127.5);
    expect([0, 1, 2].map((n) => [red(n, 0), red(n, 7)])).toEqual([
      [0, 140],
      [80, 220],
      [20, 160],
    ]);
    const flipped = await source.pixels([1], [{ position: 0, flipped: true }]);
    const rows = Array.from({ length: 24 }, (_, y) => [...flipped.subarray(8 * y, 8 * y + 8)].reverse());
    expect(rows.flat()).toEqual([...pixels.subarray(0, one)]);
  });
});

const open = async (path: string, options: { captionColumn?: string } = {}) =>
  openImageFolder({ path, resolution: 8, ...options });
const captions = ({ train }: { train: PictureSource }) =>
  Array.from({ length: train.size }, (_, i) => train.caption(i));

it("reads GNU tar's and pax's long names", async () => {
  for (const name of ['gnu.tar', 'pax.tar']) {
    const { train } = await open(join(fixtures, name));
    expect(captions({ train })).toEqual(['picture 0', 'picture 1']);
    const alone = await train.pixels([0]);
    const whole = (await open(join(fixtures, 'hub-snappy.parquet'))).train;
    expect(alone).toEqual(await whole.pixels([0]));
  }
});

it('reads labels of tables as their names, pictures that are bytes alone, and lists of captions', async () => {
  expect(captions(await open(join(fixtures, 'hub-labels.parquet')))).toEqual([
    ...['cat', 'dog', 'cat', 'dog', 'dog', 'cat'],
  ]);
  const several = await open(join(fixtures, 'bytes-none.parquet'));
  expect([several.train.size, several.train.pictures]).toEqual([12, 6]);
  expect(captions(several).slice(0, 4)).toEqual([
    ...['picture 0', 'picture 0 again', 'picture 1', 'picture 1 again'],
  ]);
  expect([0, 1, 2].map((example) => several.train.pictureOf(example))).toEqual([0, 0, 1]);
  const columns = await open(join(fixtures, 'hub-snappy.parquet'), { captionColumn: 'text' });
  expect(captions(columns)[5]).toBe('picture 5');
});

it('takes shards called train and validation for what they are', async () => {
  const shard = async (name: string) =>
    tar([
      [`${name}.png`, await png(1)],
      [`${name}.txt`, name],
    ]);
  const path = await write('splits', [
    ['data/train-00000-of-00001.tar', await shard('a')],
    ['data/validation-00000-of-00001.tar', await shard('b')],
  ]);
  const { train, test } = await open(path);
  expect([captions({ train }), test && captions({ train: test })]).toEqual([['a'], ['b']]);
});

it("shows pictures as often as kohya's folders say, and encodes each once", async () => {
  const path = await write('repeats', [
    ['3_a cat/1.png', await png(1)],
    ['1_dog_outside/2.png', await png(2)],
    ['1_dog_outside/2.txt', 'a dog'],
    ['3_a cat/4.png', await png(4)],
  ]);
  const { train } = await open(path);
  expect([train.size, train.pictures]).toEqual([7, 3]);
  // One picture has a caption of its own, so the names of folders are none.
  expect(captions({ train })).toEqual(['a dog', '', '', '', '', '', '']);
  const { train: labelled } = await openImageFolder({ path, resolution: 8, labels: 'always' });
  expect(captions({ train: labelled })).toEqual(['a dog', ...new Array(6).fill('a cat')]);
  expect(Array.from({ length: 7 }, (_, i) => train.pictureOf(i))).toEqual([0, 1, 1, 1, 2, 2, 2]);
  // A year is no number of repeats.
  const years = await write('years', [['2024_beach/1.png', await png(1)]]);
  expect((await open(years)).train.size).toBe(1);
});

it('refuses archives and tables that are damaged, or are none', async () => {
  const archive = tar([
    ['a.png', await png(1)],
    ['b.png', await png(2)],
  ]);
  const table = await readFile(join(fixtures, 'hub-snappy.parquet'));
  const cases: readonly [name: string, content: string | Uint8Array, message: RegExp][] = [
    ['cut.tar', archive.subarray(0, 900), /cut\.tar is cut off: it ends after 900 bytes/],
    ['text.tar', 'x'.repeat(600), /text\.tar is no tar archive, or damaged: there is no header at byte 0/],
    ['empty.tar', '', /empty\.tar is cut off: it ends after 0 bytes/],
    ['none.tar', tar([]), /none\.tar holds no pictures/],
    ['cut.parquet', table.subarray(0, -20), /cut\.parquet is not a Parquet file that can be read/],
    ['text.parquet', 'x'.repeat(600), /text\.parquet is not a Parquet file that can be read/],
    ['some.zip', 'PK', /some\.zip is a file; expected a folder with pictures, or a \.tar or \.parquet file/],
  ];
  for (const [name, content, message] of cases) {
    const path = join(await write('damaged', [[name, content]]), name);
    await expect(open(path)).rejects.toThrow(message);
  }
  await expect(open(join(fixtures, 'metadata.parquet'))).rejects.toThrow(
    /metadata\.parquet holds no pictures: expected a column of \{bytes, path\}, found "file_name", "caption"/,
  );
  await expect(open(join(fixtures, 'hub-snappy.parquet'), { captionColumn: 'note' })).rejects.toThrow(
    /hub-snappy\.parquet has the columns "text", "size"; expected "note"; set captionColumn/,
  );
});
