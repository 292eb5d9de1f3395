import { expect, it } from 'vitest';
import { ExampleOrder, viewOf } from './example-order.ts';
import type { PictureSize, PictureSource } from './picture-source.ts';
import { ShuffledIndices } from './random-stream.ts';

const SIZES: readonly PictureSize[] = [
  { width: 4, height: 4 },
  { width: 8, height: 2 },
];
const COUNT = 11;

/** Every third picture is wide. */
const source = (changes: Partial<PictureSource> = {}): PictureSource => ({
  identity: '',
  captionIdentity: '',
  size: COUNT,
  shuffled: false,
  variety: { crop: false, flip: false },
  pictures: COUNT,
  height: 4,
  width: 4,
  pictureOf: (example) => example,
  sizeOf: () => SIZES[0]!,
  sizes: [SIZES[0]!],
  pixels: async () => new Float32Array(),
  caption: String,
  ...changes,
});
const sized = source({ sizes: SIZES, sizeOf: (picture) => SIZES[picture % 3 === 0 ? 1 : 0]! });

it('walks through pictures of one size as trainings always did', () => {
  const order = new ExampleOrder({ source: source(), seed: 5, batch: 4 });
  const walk = new ShuffledIndices(5, COUNT);
  for (const step of [0, 7, 3, 3]) {
    const indices = Array.from({ length: 4 }, (_, i) => walk.at(4 * step + i));
    expect(order.batch(step)).toEqual(indices.map((picture) => ({ example: picture, picture, variant: 0 })));
  }
});

it('makes batches of one size, each pass of all pictures, by the seed and the step alone', () => {
  const order = new ExampleOrder({ source: sized, seed: 5, batch: 3 });
  // Seven and four pictures make three and two batches.
  const passes = [0, 1].map((pass) =>
    Array.from({ length: 5 }, (_, i) => order.batch(5 * pass + i).map(({ picture }) => picture)),
  );
  for (const pass of passes) {
    for (const batch of pass) {
      expect(batch).toHaveLength(3);
      expect(new Set(batch.map((picture) => sized.sizeOf(picture))).size).toBe(1);
    }
    expect(new Set(pass.flat()).size).toBe(COUNT);
  }
  expect(passes[0]).not.toEqual(passes[1]);
  const again = new ExampleOrder({ source: sized, seed: 5, batch: 3 });
  expect(again.batch(7)).toEqual(order.batch(7));
  expect([...order.encounters()].map(({ picture }) => picture)).toEqual([...new Set(passes[0]!.flat())]);
});

it('meets each picture once in each of its variants, whatever its captions and repeats', () => {
  const repeated = source({
    size: 2 * COUNT,
    pictureOf: (example) => example >> 1,
    variety: { crop: false, flip: true },
  });
  const order = new ExampleOrder({ source: repeated, seed: 1, batch: 2, variants: 2 });
  const met = [...order.encounters()];
  expect(met).toHaveLength(2 * COUNT);
  expect(new Set(met.map(({ picture, variant }) => `${picture} ${variant}`)).size).toBe(2 * COUNT);
  for (const { picture } of met) {
    const [one, other] = [0, 1].map((variant) => viewOf(repeated, 1, { picture, variant }).flipped);
    expect(one).not.toBe(other);
  }
  expect(order.batch(COUNT)[0]!.variant).toBe(1);
  expect(order.batch(2 * COUNT)[0]!.variant).toBe(0);
});
