/** Pictures onto a canvas, and a canvas as a picture. */
import { type Image as CanvasImage, createCanvas, loadImage, type SKRSContext2D } from '@napi-rs/canvas';
import { InputError } from '../../errors.ts';
import { grid } from '../grid.ts';
import { createImage, flatten, type Image } from '../image.ts';

/** Puts a picture with its top left corner at (left, top), every pixel as scale × scale. */
export function drawImage(
  context: SKRSContext2D,
  image: Image,
  left: number,
  top: number,
  scale: number,
): void {
  const { width, height, data } = grid([image], { scale });
  const pixels = context.createImageData(width, height);
  for (let i = 0; i < width * height; i++) {
    pixels.data.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
    pixels.data[4 * i + 3] = 255;
  }
  context.putImageData(pixels, left, top);
}

/** What is on the canvas, as an RGB image. */
export function readCanvas(context: SKRSContext2D): Image {
  const { width, height } = context.canvas;
  const { data } = context.getImageData(0, 0, width, height);
  return flatten(createImage(width, height, 4, new Uint8Array(data.buffer, data.byteOffset, data.length)));
}

/**
 * Decodes a file of a format that the canvas knows: turned as its EXIF block says, in sRGB, its first frame. Partly
 * transparent colours lose what multiplying with alpha takes from them. Throws InputError for a damaged one.
 */
export async function decodeByCanvas(file: Uint8Array): Promise<Image> {
  const picture = await loadImage(file).catch((cause: Error) => {
    throw new InputError(`it is damaged (${cause.message})`, { cause, code: 'damaged' });
  });
  const { width, height } = picture;
  const context = createCanvas(width, height).getContext('2d');
  context.drawImage(picture, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  return createImage(width, height, 4, new Uint8Array(data.buffer, data.byteOffset, data.length));
}

/**
 * A picture, over white, as something that canvases draw and scale well: they average what they make smaller only where
 * it comes from a file, so it is put into one, which is no more than its bytes in another order.
 */
export async function drawable(image: Image): Promise<CanvasImage> {
  const { width, height, data } = flatten(image);
  const header = 54;
  const file = new Uint8Array(header + 4 * width * height).fill(255, header);
  const view = new DataView(file.buffer);
  // BMP: a header of 40 bytes at 14, one plane of 32 bits, rows from the top, which a negative height says.
  file.set([0x42, 0x4d]);
  view.setUint32(10, header, true);
  view.setUint32(14, 40, true);
  view.setInt32(18, width, true);
  view.setInt32(22, -height, true);
  view.setUint16(26, 1, true);
  view.setUint16(28, 32, true);
  for (let i = 0, to = header; i < data.length; i += 3, to += 4) {
    file[to] = data[i + 2]!;
    file[to + 1] = data[i + 1]!;
    file[to + 2] = data[i]!;
  }
  return loadImage(file);
}
