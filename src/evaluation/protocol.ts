/**
 * The protocol by which models of postcards are compared: which captions, with which noise, against which pictures.
 * The first half of the captions describe pictures like those of the training, the second half combinations of
 * attributes that the training never showed.
 */
import type { Canvas2D } from '../datasets/postcards/canvas2d.ts';
import { type Postcard, postcard } from '../datasets/postcards/postcards.ts';
import { renderPostcard } from '../datasets/postcards/render.ts';
import { SettingError } from '../errors.ts';
import { createImage, type Image } from '../images/image.ts';

/** Captions in the protocol: 256 seen and 256 held out. */
export const PROTOCOL_COUNT = 512;

/** Other drawings of the same records, against which Fréchet distances are taken: 2,048 for 512 captions. */
export const REFERENCE_VARIANTS: readonly number[] = [1, 2, 3, 4];

/** Guidance scale of teacher and student where neither the request nor the model names one (w = 2). */
export const PROTOCOL_GUIDANCE_SCALE = 3;

/** Steps of the teacher's DDIM. */
export const TEACHER_STEPS = 50;

/** Steps at which a consistency model is measured. */
export const CONSISTENCY_STEPS: readonly number[] = [1, 2, 4, 8];

/** The first pictures of each half on a contact sheet, 5 rows of 8. */
export const SHEET = { seen: 24, heldOut: 16, columns: 8 } as const;

/**
 * The postcards whose captions are drawn: the first count/2 of `test`, then the first count/2 of `heldout`.
 * Their pictures have `size`×`size` pixels. Throws UsageError when `count` is not even.
 */
export function protocolCards(count = PROTOCOL_COUNT, size = 64): Postcard[] {
  if (!Number.isInteger(count) || count < 2 || count % 2 !== 0) {
    throw new SettingError(
      'count',
      'count',
      `${count}: expected an even number from 2, half of it for held-out combinations`,
    );
  }
  return Array.from({ length: count }, (_, i) =>
    i < count / 2
      ? postcard(i, { split: 'test', seed: 0, size })
      : postcard(i - count / 2, { split: 'heldout', seed: 0, size }),
  );
}

/** The seed of the noise from which picture i is drawn; the same in every row of the table. */
export function seedOf(i: number): number {
  return i;
}

/** The cards as the data set draws them, or as another variant of the same attributes. */
export function drawCards(canvas: Canvas2D, cards: readonly Postcard[], variant = 0): Image[] {
  return cards.map((card) => createImage(card.size, card.size, 3, renderPostcard(canvas, card, variant)));
}
