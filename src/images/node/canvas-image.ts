/** Pictures onto a canvas, and a canvas as a picture. */
import type { SKRSContext2D } from '@napi-rs/canvas';
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
