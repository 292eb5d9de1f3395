/** Pictures in files: PNG by our own reader, to the bit; JPEG and WebP by @napi-rs/canvas. */
import { createCanvas, loadImage } from '@napi-rs/canvas';
import { InputError } from '../../errors.ts';
import { readBytes } from '../../files/node/regular-file.ts';
import { createImage, type Image } from '../image.ts';
import { decodePng, MAX_PIXELS } from '../png.ts';

/** Bytes of a file with a picture: so many has the largest one that is read, uncompressed, with a margin for its texts. */
const LARGEST_FILE = 8 * MAX_PIXELS + 2 ** 26;

/** The bytes of a picture. Throws InputError when there is no such file, or it is larger than any picture is. */
export async function readPicture(path: string): Promise<Buffer> {
  return readBytes(path, LARGEST_FILE);
}

/** Throws InputError, naming the file, when it is missing, damaged, too large or of another kind. */
export async function openImage(path: string): Promise<Image> {
  const file = await readPicture(path);
  try {
    if (startsWith(file, [0x89, 0x50, 0x4e, 0x47])) return await decodePng(file);
    const isJpeg = startsWith(file, [0xff, 0xd8, 0xff]);
    const isWebp = file.toString('latin1', 0, 4) === 'RIFF' && file.toString('latin1', 8, 12) === 'WEBP';
    if (isJpeg || isWebp) return await decodeByCanvas(file);
  } catch (cause) {
    throw new InputError(`picture ${path} cannot be read: ${(cause as Error).message}`, { cause });
  }
  throw new InputError(`picture ${path} is neither PNG, JPEG nor WebP; save it as one of them`);
}

function startsWith(file: Uint8Array, bytes: readonly number[]): boolean {
  return bytes.every((byte, i) => file[i] === byte);
}

async function decodeByCanvas(file: Buffer): Promise<Image> {
  const picture = await loadImage(file);
  const { width, height } = picture;
  if (width * height > MAX_PIXELS) {
    throw new InputError(`${width}×${height} are more than the ${MAX_PIXELS} pixels that are read`);
  }
  const context = createCanvas(width, height).getContext('2d');
  context.drawImage(picture, 0, 0);
  return createImage(width, height, 4, new Uint8Array(context.getImageData(0, 0, width, height).data));
}
