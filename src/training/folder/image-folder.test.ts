import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCanvas } from '@napi-rs/canvas';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import type { PictureSource } from '../data/picture-source.ts';
import type { TrainingEvent } from '../loop/events.ts';
import { openImageFolder } from './image-folder.ts';

let path: string;
let events: TrainingEvent[];
beforeEach(async () => {
  path = await mkdtemp(join(tmpdir(), 'image-folder-'));
  events = [];
});
afterEach(() => rm(path, { recursive: true }));

/** A wide picture: red, and blue at both ends, where it is cut off. */
function picture(kind: 'png' | 'jpeg' | 'webp' | 'avif' = 'png', colour = 'red'): Buffer {
  const canvas = createCanvas(60, 20);
  const context = canvas.getContext('2d');
  context.fillStyle = 'blue';
  context.fillRect(0, 0, 60, 20);
  context.fillStyle = colour;
  context.fillRect(15, 0, 30, 20);
  if (kind === 'png') return canvas.toBuffer('image/png');
  if (kind === 'jpeg') return canvas.toBuffer('image/jpeg', 95);
  return kind === 'webp' ? canvas.toBuffer('image/webp', 95) : canvas.toBuffer('image/avif');
}

async function write(name: string, content: string | Uint8Array = picture()): Promise<void> {
  await mkdir(dirname(join(path, name)), { recursive: true });
  await writeFile(join(path, name), content);
}

async function writePictures(count: number): Promise<void> {
  for (let i = 0; i < count; i++) await write(`${String(i).padStart(2, '0')}.png`);
}

const open = (captionColumn?: string) =>
  openImageFolder({ path, resolution: 8, captionColumn, onProgress: (event) => events.push(event) });

const captions = (source: PictureSource) => Array.from({ length: source.size }, (_, i) => source.caption(i));

const messages = (type: 'warning' | 'phase') =>
  events.flatMap((event) => (event.type === type && !('done' in event) ? [event.message] : []));

/** The message of the InputError with which the folder is refused. */
async function refusal(captionColumn?: string): Promise<string> {
  const error: unknown = await open(captionColumn).catch((error) => error);
  expect(error).toBeInstanceOf(InputError);
  return (error as Error).message.replaceAll(path, 'pictures');
}

it('takes captions from text files, and squares from the middle of the pictures', async () => {
  for (let i = 0; i < 20; i++) await write(`sub/p${String(i).padStart(2, '0')}.jpg`, picture('jpeg'));
  await write('sub/p03.txt', 'a red square\n');
  await write('sub/p05.TXT', '\ufeffwith a mark');
  await write('sub/p06.caption', 'as kohya has it');
  const { train, test } = await open();
  expect([train.size, test?.size]).toEqual([19, 1]);
  expect(captions(train).slice(3, 8)).toEqual(['a red square', '', 'with a mark', 'as kohya has it', '']);
  expect(messages('phase')).toEqual([
    `${path}: 20 pictures, 3 of them with a caption; 19 to train on, 1 kept for tests`,
  ]);
  const pixels = await train.pixels([3, 0]);
  expect(pixels).toHaveLength(2 * 3 * 64);
  const mean = (from: number) => pixels.subarray(from, from + 64).reduce((sum, x) => sum + x, 0) / 64;
  expect(mean(0)).toBeGreaterThan(0.95);
  expect(mean(64)).toBeLessThan(-0.95);
  expect(mean(128)).toBeLessThan(-0.95);
});

it('takes captions from metadata in any folder, by the column that holds them', async () => {
  await write('a/1.png');
  await write('a/2.png');
  await write(
    'a/metadata.jsonl',
    '\ufeff{"file_name": "2.png", "text": "two"}\n\n{"file_name":"1.png","text":null}\n',
  );
  await write('b/c/3.png');
  await write('b/4.webp', picture('webp'));
  await write(
    'b/metadata.csv',
    'file_name,title\r\n4.webp,"four, ""quoted"""\r\nc\\3.png,"three\r\nlines"\r\n',
  );
  expect(captions((await open()).train)).toEqual(['', 'two', 'four, "quoted"', 'three\r\nlines']);
  await rm(join(path, 'a'), { recursive: true });
  await write('b/metadata.csv', 'file_name,size,caption,note\n4.webp,1,four,x\nc/3.png,2,three,y\n');
  expect(captions((await open()).train)).toEqual(['four', 'three']);
  expect(captions((await open('note')).train)).toEqual(['x', 'y']);
});

it('says which pictures the metadata leave out', async () => {
  await writePictures(4);
  await write('02.txt', 'a text of its own');
  await write('metadata.jsonl', '{"file_name": "01.png", "text": "one"}\n');
  expect(captions((await open()).train)).toEqual(['one', 'a text of its own']);
  expect(messages('warning')).toEqual([
    `${path}: left out 2 pictures, because the metadata do not name them: 00.png, 03.png`,
  ]);
});

it('passes over what programs leave beside pictures', async () => {
  await write('a.png');
  for (const name of ['._a.png', '.hidden.png', '__MACOSX/._a.png', '__MACOSX/a.png', '@eaDir/a.jpg']) {
    await write(name, 'not a picture');
  }
  await write('.ipynb_checkpoints/a-checkpoint.png');
  await write('.thumbnails/metadata.jsonl', 'not JSON');
  expect((await open()).train.size).toBe(1);
  expect(messages('warning')).toEqual([]);
});

it('works with few pictures, and keeps those of a test folder', async () => {
  await write('one.png');
  const { train, test } = await open();
  expect([train.size, test]).toEqual([1, undefined]);
  await write('train/two.png');
  await write('validation/three.png');
  const split = await open();
  expect([split.train.size, split.test?.size]).toEqual([2, 1]);
});

it('leaves out pictures that are no whole ones, whatever their ending, and says so', async () => {
  await writePictures(40);
  await write('jpeg.png', picture('jpeg'));
  await write('avif.jpg', picture('avif'));
  await write('photo.jpg', Buffer.concat([picture('jpeg'), Buffer.from('appended by a camera')]));
  await write('note.png', Buffer.concat([picture(), Buffer.from('appended')]));
  expect((await open()).train.size).toBe(42);
  expect(messages('warning')).toEqual([]);

  const cut = (kind: 'png' | 'jpeg' | 'webp' | 'avif') => picture(kind).subarray(0, -10);
  await write('x1.png', cut('png'));
  await write('x2.jpg', cut('jpeg'));
  await write('x3.webp', cut('webp'));
  await write('x4.avif', cut('avif'));
  const { train, test } = await open();
  expect(train.size + test!.size).toBe(44);
  const faults =
    'x1.png (it is cut off), x2.jpg (it is cut off), x3.webp (it is cut off), x4.avif (AVIF file is cut off';
  const [warning, ...others] = messages('warning');
  expect(warning).toContain(`${path}: left out 4 pictures, because they cannot be read: ${faults}`);
  expect(others).toEqual([]);
  await write('x5.png', 'a text');
  await write('x6.png', '');
  const message = await refusal();
  expect(message).toContain(`pictures: 6 of 50 pictures cannot be read: ${faults}`);
  expect(message).toMatch(/, x5\.png \(it is no picture.* and 1 more; remove them or save them again$/);
});

it('reads pictures as --image does: every format, turned, in sRGB', async () => {
  const fixtures = fileURLToPath(new URL('../../../tests/fixtures/pictures/', import.meta.url));
  const same = ['rgb8.png', 'interlaced-rgb8.png', 'lossless.webp', 'rgb.bmp', 'lzw.tif', 'tile.tif'];
  const turned = ['orientation6.png', 'orientation6.webp', 'orientation6.tif'];
  const converted = ['profile.png', 'profile.webp', 'profile.tif'];
  for (const group of [same, turned, converted]) {
    await rm(path, { recursive: true });
    for (const name of group) await write(name, await readFile(join(fixtures, name)));
    const { train } = await open();
    expect(train.size).toBe(group.length);
    const plane = 3 * 8 * 8;
    const pixels = await train.pixels(group.map((_, i) => i));
    const [first, ...others] = group.map((_, i) => Array.from(pixels.subarray(i * plane, (i + 1) * plane)));
    expect(others).toEqual(others.map(() => first));
  }
});

it('knows another folder by names, sizes, contents and captions', async () => {
  await write('a.png');
  await write('a.txt', 'one');
  const first = (await open()).train;
  const again = (await open()).train;
  expect([again.identity, again.captionIdentity]).toEqual([first.identity, first.captionIdentity]);
  await write('a.txt', 'two');
  const recaptioned = (await open()).train;
  expect(recaptioned.identity).toBe(first.identity);
  expect(recaptioned.captionIdentity).not.toBe(first.captionIdentity);
  const size = picture().length;
  const other = picture('png', 'lime');
  expect(other.length).toBeLessThanOrEqual(size);
  await write('a.png', Buffer.concat([other, Buffer.alloc(size - other.length)]));
  expect((await open()).train.identity).not.toBe(first.identity);
  await rm(join(path, 'a.png'));
  await write('b.png');
  expect((await open()).train.identity).not.toBe(first.identity);
});

it('says what is wrong', async () => {
  expect(await refusal()).toBe(
    'pictures holds no pictures; expected files that end in .png, .jpg, .jpeg, .webp, .avif, .gif, .bmp, .tif, .tiff, or .tar or .parquet files with pictures',
  );
  await write('a.png');
  await write('a.txt', Buffer.from('caf\xe9', 'latin1'));
  expect(await refusal()).toMatch(/^pictures\/a.txt is not a text in UTF-8/);
  await write('a.txt', 'one');
  await write('a.caption', 'two');
  expect(await refusal()).toMatch(/a\.caption and a\.txt are captions of the same picture; remove one/);
  await rm(join(path, 'a.caption'));
  expect(await refusal('note')).toMatch(
    /no column "note": there is neither metadata.jsonl nor metadata.csv nor metadata.parquet/,
  );
  const cases: [name: string, content: string, message: RegExp][] = [
    [
      'metadata.jsonl',
      '{"file_name": "gone.png", "text": "x"}\n',
      /metadata.jsonl, line 1: there is no picture gone.png/,
    ],
    ['metadata.jsonl', '\nnonsense\n', /metadata.jsonl, line 2 is not valid JSON: column 1/],
    ['metadata.jsonl', '', /metadata.jsonl names no pictures/],
    [
      'metadata.jsonl',
      '{"file_name": "a.png", "text": 5}',
      /line 1: expected "file_name" and "text", both texts/,
    ],
    [
      'metadata.csv',
      'file_name,a,b\na.png,1,2\n',
      /has the columns "file_name", "a", "b"; expected .*captionColumn/,
    ],
    ['metadata.csv', 'name,text\na.png,1\n', /has the columns "name", "text"; expected "file_name"/],
    ['metadata.csv', 'file_name,text\na.png,"1\n', /metadata.csv is not a valid CSV file: /],
    ['metadata.csv', 'file_name,text\na.png,1,2\n', /metadata.csv is not a valid CSV file: .*line 2/],
  ];
  for (const [name, content, message] of cases) {
    await write(name, content);
    expect(await refusal()).toMatch(message);
    await rm(join(path, name));
  }
  await write('metadata.csv', 'file_name,text\na.png,1\n');
  await write('metadata.jsonl', '{"file_name": "a.png", "text": "1"}');
  expect(await refusal()).toMatch(/has both metadata.csv and metadata.jsonl; remove one of them/);
  const missing = openImageFolder({ path: join(path, 'none'), resolution: 8 });
  await expect(missing).rejects.toThrow(/cannot read the folder .*none \(ENOENT\)/);
});
