/**
 * Pictures of a folder with captions, in the layout that Hugging Face `datasets` calls an imagefolder:
 * `metadata.jsonl` with `file_name` and `text`, or a text file beside each picture, `cat.jpg` and `cat.txt`.
 */
import { readdirSync } from 'node:fs';
import { extname, join, normalize, resolve } from 'node:path';
import { createCanvas, loadImage } from '@napi-rs/canvas';
import { InputError } from '../errors.ts';
import { parseJsonObject } from '../files/json.ts';
import { readTextSync } from '../files/node/text-file.ts';
import { readPicture } from '../images/node/open-image.ts';
import type { PictureSource } from './picture-source.ts';

const PICTURES = new Set(['.png', '.jpg', '.jpeg', '.webp', '.avif']);
const METADATA = 'metadata.jsonl';
/** Bytes: a line for each of a million pictures, and what fits into one text. */
const LARGEST_METADATA = 2 ** 28;

interface Entry {
  /** Relative to the folder. */
  readonly file: string;
  readonly caption: string;
}

export interface ImageFolderOptions {
  readonly path: string;
  /** Pictures are scaled to cover a square of so many pixels and cut around their middle. */
  readonly resolution: number;
  /** Every twentieth picture is kept for tests, in the order of their names. */
  readonly split: 'train' | 'test';
}

/** Opens a folder. Throws InputError when there is none, it holds no pictures, or its metadata are damaged. */
export function imageFolderSource({ path, resolution, split }: ImageFolderOptions): PictureSource {
  const names = listFolder(path);
  const all = names.includes(METADATA) ? entriesFromMetadata(path, names) : entriesFromFiles(path, names);
  const entries = all.filter((_, i) => (i % 20 === 19) === (split === 'test'));
  if (entries.length === 0) {
    throw new InputError(
      `${path} has ${all.length} pictures, too few for the ${split} split: expected at least 20 (${[...PICTURES].join(', ')})`,
    );
  }
  return {
    identity: `${entries.length} pictures of ${resolve(path)}, ${split}, ${resolution}×${resolution}`,
    size: entries.length,
    shuffled: false,
    height: resolution,
    width: resolution,
    async pixels(indices) {
      const plane = resolution * resolution;
      const tensor = new Float32Array(indices.length * 3 * plane);
      await Promise.all(
        indices.map(async (index, n) => {
          const rgba = await readSquare(join(path, entries[index]!.file), resolution);
          for (let i = 0; i < plane; i++) {
            for (let c = 0; c < 3; c++) tensor[(3 * n + c) * plane + i] = rgba[4 * i + c]! / 127.5 - 1;
          }
        }),
      );
      return tensor;
    },
    caption: (index) => entries[index]!.caption,
  };
}

function listFolder(path: string): string[] {
  try {
    return readdirSync(path, { recursive: true, encoding: 'utf8' });
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new InputError(`cannot read the folder ${path} (${code}); expected one with pictures`, { cause });
  }
}

function entriesFromMetadata(path: string, names: readonly string[]): Entry[] {
  const present = new Set(names);
  const text = readTextSync(join(path, METADATA), LARGEST_METADATA);
  return text.split('\n').flatMap((line, i): Entry[] => {
    if (line.trim() === '') return [];
    const { file_name: file, text: caption } = parseJsonObject(
      line,
      `${join(path, METADATA)}, line ${i + 1}`,
    );
    if (typeof file !== 'string' || typeof caption !== 'string') {
      throw new InputError(
        `${join(path, METADATA)}, line ${i + 1}: expected "file_name" and "text", both texts`,
      );
    }
    if (!present.has(normalize(file))) {
      throw new InputError(`${join(path, METADATA)}, line ${i + 1}: there is no ${file} in the folder`);
    }
    return [{ file, caption }];
  });
}

/** A picture without a text file has the empty caption. */
function entriesFromFiles(path: string, names: readonly string[]): Entry[] {
  const present = new Set(names);
  const files = names.filter((name) => PICTURES.has(extname(name).toLowerCase()));
  return files.sort().map((file) => {
    const text = `${file.slice(0, -extname(file).length)}.txt`;
    const caption = present.has(text) ? readTextSync(join(path, text)).trim() : '';
    return { file, caption };
  });
}

/** RGBA bytes of the picture, [size, size, 4]; what is transparent becomes white. */
async function readSquare(file: string, size: number): Promise<Uint8ClampedArray> {
  const image = await loadImage(await readPicture(file)).catch((cause) => {
    throw new InputError(`${file} cannot be read as a picture; remove it or save it again`, { cause });
  });
  const context = createCanvas(size, size).getContext('2d');
  context.fillStyle = 'white';
  context.fillRect(0, 0, size, size);
  context.imageSmoothingEnabled = true;
  context.imageSmoothingQuality = 'high';
  const side = Math.min(image.width, image.height);
  context.drawImage(image, (image.width - side) / 2, (image.height - side) / 2, side, side, 0, 0, size, size);
  return context.getImageData(0, 0, size, size).data;
}
