/** A folder of pictures with captions as a source of training pictures. */
import { createHash, type Hash } from 'node:crypto';
import { join } from 'node:path';
import { createCanvas } from '@napi-rs/canvas';
import { InputError } from '../../errors.ts';
import { drawable } from '../../images/node/canvas-image.ts';
import { openImage } from '../../images/node/open-image.ts';
import { listed } from '../../messages.ts';
import type { PictureSource } from '../data/picture-source.ts';
import type { OnProgress } from '../loop/events.ts';
import { type CaptionedPicture, readCaptions } from './captions.ts';
import { type CheckedPicture, checkPicture } from './check-picture.ts';
import { inBatches } from './in-batches.ts';
import { listFolder, PICTURE_ENDINGS } from './listing.ts';

export interface ImageFolderOptions {
  readonly path: string;
  /** Pictures are scaled to cover a square of so many pixels and cut around their middle. */
  readonly resolution: number;
  /** The column of the metadata that holds captions; by default one of the usual names, or the only one. */
  readonly captionColumn?: string | null;
  /** Hears how many pictures there are, and of those that are left out. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ImageFolder {
  readonly train: PictureSource;
  /** Undefined for folders that are too small to keep some for tests. */
  readonly test: PictureSource | undefined;
}

/** The share of pictures that may be unreadable. */
const UNREADABLE_SHARE = 0.1;

/**
 * Opens a folder. Pictures in its folder `test` or `validation` beside `train` are kept for tests, otherwise every twentieth
 * in the order of their names. Throws InputError when there is no folder, it holds no pictures, more than a tenth of them
 * cannot be read, or its captions are damaged.
 */
export async function openImageFolder(options: ImageFolderOptions): Promise<ImageFolder> {
  const { path, captionColumn, onProgress, signal } = options;
  const listing = await listFolder(path);
  const { pictures, leftOut } = await readCaptions(path, listing, captionColumn ?? undefined);
  if (pictures.length === 0) {
    throw new InputError(
      `${path} holds no pictures; expected files that end in ${PICTURE_ENDINGS.join(', ')}`,
      { path },
    );
  }
  const warn = (message: string) => onProgress?.({ type: 'warning', message });
  if (leftOut.length > 0) {
    warn(`${path}: left out ${count(leftOut)}, because the metadata do not name them: ${listed(leftOut)}`);
  }
  const checked = new Map<string, CheckedPicture>();
  const files = [...new Set(pictures.map(({ file }) => file))];
  await inBatches(files, async (file) => checked.set(file, await checkPicture(join(path, file))), {
    signal,
    onDone: (done) =>
      onProgress?.({
        type: 'phase',
        message: `looking at the pictures in ${path}`,
        done,
        total: files.length,
      }),
  });
  const unreadable = files.filter((file) => checked.get(file)!.fault !== undefined);
  const faults = unreadable.map((file) => `${file} (${checked.get(file)!.fault})`);
  if (unreadable.length > UNREADABLE_SHARE * files.length) {
    throw new InputError(
      `${path}: ${faults.length} of ${files.length} pictures cannot be read: ${listed(faults)}; remove them or save them again`,
      { path, code: 'cannot-read' },
    );
  }
  if (unreadable.length > 0)
    warn(`${path}: left out ${count(faults)}, because they cannot be read: ${listed(faults)}`);

  const whole = pictures.filter(({ file }) => checked.get(file)!.fault === undefined);
  const isTest = testRule(whole);
  const source = (split: 'train' | 'test') =>
    pictureSource(
      options,
      whole.filter((picture, i) => isTest(picture, i) === (split === 'test')),
      split,
      checked,
    );
  const train = source('train');
  const test = source('test');
  const captioned = whole.filter(({ caption }) => caption !== '').length;
  onProgress?.({
    type: 'phase',
    message: `${path}: ${whole.length} pictures, ${captioned} of them with a caption; ${train.size} to train on, ${test.size} kept for tests`,
  });
  return { train, test: test.size > 0 ? test : undefined };
}

/** Names of folders beside `train` whose pictures are for tests. */
const TEST_FOLDERS = ['test', 'validation', 'valid', 'val'];

function testRule(
  pictures: readonly CaptionedPicture[],
): (picture: CaptionedPicture, index: number) => boolean {
  const isIn = (folders: readonly string[]) => (picture: CaptionedPicture) =>
    folders.includes(picture.file.split('/')[0]!) && picture.file.includes('/');
  const isKept = isIn(TEST_FOLDERS);
  return pictures.some(isIn(['train'])) && pictures.some(isKept) ? isKept : (_, index) => index % 20 === 19;
}

function pictureSource(
  { path, resolution }: ImageFolderOptions,
  pictures: readonly CaptionedPicture[],
  split: 'train' | 'test',
  checked: ReadonlyMap<string, CheckedPicture>,
): PictureSource {
  const pixels = digest((hash) => {
    for (const { file } of pictures) {
      const { size, head, tail } = checked.get(file)!;
      hash
        .update(JSON.stringify([file, size]))
        .update(head)
        .update(tail);
    }
  });
  return {
    identity: `${pictures.length} pictures of a folder, ${split}, ${resolution}×${resolution}, ${pixels}`,
    captionIdentity: digest((hash) => hash.update(JSON.stringify(pictures.map(({ caption }) => caption)))),
    size: pictures.length,
    shuffled: false,
    height: resolution,
    width: resolution,
    async pixels(indices) {
      const plane = resolution * resolution;
      const tensor = new Float32Array(indices.length * 3 * plane);
      await Promise.all(
        indices.map(async (index, n) => {
          const rgba = await readSquare(join(path, pictures[index]!.file), resolution);
          for (let i = 0; i < plane; i++) {
            for (let c = 0; c < 3; c++) tensor[(3 * n + c) * plane + i] = rgba[4 * i + c]! / 127.5 - 1;
          }
        }),
      );
      return tensor;
    },
    caption: (index) => pictures[index]!.caption,
  };
}

function digest(add: (hash: Hash) => void): string {
  const hash = createHash('sha256');
  add(hash);
  return hash.digest('hex').slice(0, 32);
}

/** RGBA bytes of the picture, [size, size, 4]; what is transparent becomes white. */
async function readSquare(file: string, size: number): Promise<Uint8ClampedArray> {
  const image = await drawable(await openImage(file));
  const context = createCanvas(size, size).getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, size, size);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'high';
  const side = Math.min(image.width, image.height);
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, size, size);
  return context.getImageData(0, 0, size, size).data;
}

function count({ length }: readonly unknown[]): string {
  return length === 1 ? '1 picture' : `${length} pictures`;
}
