/** Postcards as pixels: bytes for files and eyes, floats for training. */

import type { Canvas2D } from './canvas2d.ts';
import { type Postcard, type PostcardOptions, postcard } from './postcards.ts';

/**
 * Draws one postcard; RGB bytes, [size, size, 3].
 *
 * @param ctx context of a canvas of at least size×size; what it held is painted over
 */
export function renderPostcard(ctx: Canvas2D, card: Postcard, variant = 0): Uint8Array {
  const { size } = card;
  card.draw(ctx, variant);
  const rgba = ctx.getImageData(0, 0, size, size).data;
  const rgb = new Uint8Array(size * size * 3);
  for (let i = 0; i < size * size; i++) {
    rgb[3 * i] = rgba[4 * i]!;
    rgb[3 * i + 1] = rgba[4 * i + 1]!;
    rgb[3 * i + 2] = rgba[4 * i + 2]!;
  }
  return rgb;
}

/**
 * Draws cards of one size into [N, 3, size, size] floats in [-1, 1], as models take them.
 *
 * @param out an array to fill, of N·3·size·size numbers; a new one when left out
 */
export function renderTensor(ctx: Canvas2D, cards: readonly Postcard[], out?: Float32Array): Float32Array {
  const size = cards[0]?.size ?? 0;
  const plane = size * size;
  const tensor = out ?? new Float32Array(cards.length * 3 * plane);
  for (const [n, card] of cards.entries()) {
    card.draw(ctx);
    const rgba = ctx.getImageData(0, 0, size, size).data;
    const start = n * 3 * plane;
    for (let i = 0; i < plane; i++) {
      tensor[start + i] = rgba[4 * i]! / 127.5 - 1;
      tensor[start + plane + i] = rgba[4 * i + 1]! / 127.5 - 1;
      tensor[start + 2 * plane + i] = rgba[4 * i + 2]! / 127.5 - 1;
    }
  }
  return tensor;
}

/** The cards of the indices, in their order. */
export function postcards(indices: Iterable<number>, options: PostcardOptions): Postcard[] {
  return Array.from(indices, (index) => postcard(index, options));
}
