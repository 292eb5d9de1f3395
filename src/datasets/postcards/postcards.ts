/**
 * Postcards: an endless data set of small landscapes, 64×64 pixels or larger, with captions and exact labels. Picture i of a split
 * depends on the seed, the split and i alone, so any picture can be drawn at any time, anywhere.
 */

import { UsageError } from '../../errors.ts';
import { isHeldOut, type PostcardAttributes, sampleAttributes } from './attributes.ts';
import { at, type Canvas2D } from './canvas2d.ts';
import { type CaptionOptions, describe } from './captions.ts';
import { drawExtra } from './extras.ts';
import { drawGround } from './ground.ts';
import type { PostcardRecord } from './labels.ts';
import { drawObject } from './objects.ts';
import { createRandom, type Random } from './random.ts';
import { composeScene, EXTENT, type Scene } from './scene.ts';
import { drawSky } from './sky.ts';
import { drawTrees } from './trees.ts';

/**
 * `train` and `test` have the same distribution, which leaves the held-out combinations out; every picture of
 * `heldout` contains at least one of them.
 */
export const SPLITS = ['train', 'test', 'heldout'] as const;
export type Split = (typeof SPLITS)[number];

export interface PostcardOptions extends CaptionOptions {
  split: Split;
  /** Another seed, another data set. Default 0. */
  seed?: number;
  /** Pixels along each side, 64 to 512; the same scenes in another size. Default 64. */
  size?: number;
}

export interface Postcard {
  index: number;
  record: PostcardRecord;
  caption: string;
  /** Pixels along each side. */
  size: number;
  /**
   * Paints the picture over [0, size)×[0, size) of the canvas. `variant` draws the same attributes in another way
   * (other places, hills, stars); variant 0 is the data set's picture.
   */
  draw(ctx: Canvas2D, variant?: number): void;
}

/** What a stream of random numbers is for; they are independent, so captions never change pictures. */
const STREAM = { attributes: 0, caption: 1, picture: 2 } as const;

/** Larger pictures would show no more: there is nothing finer to draw. */
const MAX_SIZE = 512;

function sampleForSplit(split: Split, random: Random): PostcardAttributes {
  for (;;) {
    const attributes = sampleAttributes(random);
    if (isHeldOut(attributes) === (split === 'heldout')) return attributes;
  }
}

/** Paints the attributes over `size`×`size` pixels; all else about the picture comes from the random stream. */
export function drawPostcard(
  ctx: Canvas2D,
  attributes: PostcardAttributes,
  random: Random,
  size: number = EXTENT,
): void {
  const scene = composeScene(attributes, random, size);
  at(ctx, 0, 0, size / EXTENT, () => paint(ctx, scene, random));
}

function paint(ctx: Canvas2D, scene: Scene, random: Random): void {
  drawSky(ctx, scene, random);
  drawGround(ctx, scene, random);
  drawExtra(ctx, scene, random);
  drawObject(ctx, scene, random);
  drawTrees(ctx, scene, random);
}

/**
 * Postcard `index` (a whole number from 0) of a split.
 *
 * @throws UsageError when the index, the seed, the size or positionProbability is out of range
 */
export function postcard(
  index: number,
  { split, seed = 0, size = EXTENT, positionProbability = 0.5 }: PostcardOptions,
): Postcard {
  const whole = (value: number): boolean => Number.isInteger(value) && value >= 0 && value < 2 ** 32;
  if (!whole(index)) throw new UsageError(`postcard ${index}: expected a whole number from 0 to 2^32 - 1`);
  if (!whole(seed))
    throw new UsageError(`postcards with seed ${seed}: expected a whole number from 0 to 2^32 - 1`);
  if (!(Number.isInteger(size) && size >= EXTENT && size <= MAX_SIZE)) {
    throw new UsageError(`postcards of size ${size}: expected a whole number from ${EXTENT} to ${MAX_SIZE}`);
  }
  if (!(positionProbability >= 0 && positionProbability <= 1)) {
    throw new UsageError(`positionProbability ${positionProbability}: expected a number from 0 to 1`);
  }
  const open = (stream: number, variant = 0): Random =>
    createRandom(seed, SPLITS.indexOf(split), index, stream, variant);
  const attributes = sampleForSplit(split, open(STREAM.attributes));
  const { caption, named } = describe(attributes, open(STREAM.caption), { positionProbability });
  return {
    index,
    record: { ...attributes, named },
    caption,
    size,
    draw: (ctx, variant = 0) => drawPostcard(ctx, attributes, open(STREAM.picture, variant), size),
  };
}
