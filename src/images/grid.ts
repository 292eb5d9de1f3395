/** Contact sheets: many pictures of one size in rows. */

import { UsageError } from '../errors.ts';
import { createImage, flatten, type Image } from './image.ts';

/** How pictures are laid out. */
export interface GridOptions {
  /** Pictures per row; by default as square as possible. */
  columns?: number;
  /** Pixels between pictures and around them, after scaling. Default 0. */
  padding?: number;
  /** Every pixel becomes scale × scale pixels. Default 1. */
  scale?: number;
  /** Of the padding and of empty places. Default white. */
  background?: readonly [red: number, green: number, blue: number];
}

/**
 * Lays pictures of one size out in rows, from the left, from the top; the result is RGB.
 *
 * @throws UsageError without pictures, for pictures of different sizes, or options out of range
 */
export function grid(
  images: readonly Image[],
  {
    columns = Math.ceil(Math.sqrt(images.length)),
    padding = 0,
    scale = 1,
    background = [255, 255, 255],
  }: GridOptions = {},
): Image {
  const first = images[0];
  if (first === undefined) throw new UsageError('a contact sheet needs at least one picture, found none');
  const { width, height } = first;
  const odd = images.find((image) => image.width !== width || image.height !== height);
  if (odd !== undefined) {
    throw new UsageError(
      `a contact sheet needs pictures of one size, found ${width}×${height} and ${odd.width}×${odd.height}`,
    );
  }
  for (const [name, value, least] of [
    ['columns', columns, 1],
    ['padding', padding, 0],
    ['scale', scale, 1],
  ] as const) {
    if (!Number.isInteger(value) || value < least) {
      throw new UsageError(`contact sheet with ${name} ${value}: expected a whole number from ${least}`);
    }
  }
  const rows = Math.ceil(images.length / columns);
  const sheet = createImage(
    columns * (width * scale + padding) + padding,
    rows * (height * scale + padding) + padding,
    3,
  );
  for (let i = 0; i < sheet.data.length; i++) sheet.data[i] = background[i % 3]!;
  for (const [i, image] of images.entries()) {
    const left = padding + (i % columns) * (width * scale + padding);
    const top = padding + Math.floor(i / columns) * (height * scale + padding);
    const { data } = flatten(image);
    for (let y = 0; y < height * scale; y++) {
      const from = 3 * width * Math.floor(y / scale);
      const to = 3 * ((top + y) * sheet.width + left);
      for (let x = 0; x < width * scale; x++) {
        const pixel = from + 3 * Math.floor(x / scale);
        for (let c = 0; c < 3; c++) sheet.data[to + 3 * x + c] = data[pixel + c]!;
      }
    }
  }
  return sheet;
}
