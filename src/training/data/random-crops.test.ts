import { expect, it } from 'vitest';
import { randomCrops } from './random-crops.ts';
import { randomStream } from './random-stream.ts';

const height = 5;
const width = 7;
/** Each number tells its picture, channel, row and column. */
const pictures = Float32Array.from({ length: 2 * 3 * height * width }, (_, i) => {
  const [y, x] = [Math.floor(i / width) % height, i % width];
  return 1000 * Math.floor(i / (height * width)) + 10 * y + x;
});

it('random crops are squares of each picture, at the same place in all channels', () => {
  const crops = randomCrops(pictures, { height, width }, 3, randomStream(1));
  expect(crops).toHaveLength(2 * 3 * 3 * 3);
  for (let plane = 0; plane < 6; plane++) {
    const corner = crops[27 * Math.floor(plane / 3)]! % 1000;
    const expected = [0, 1, 2, 10, 11, 12, 20, 21, 22].map((step) => 1000 * plane + corner + step);
    expect([...crops.subarray(9 * plane, 9 * plane + 9)]).toEqual(expected);
  }
});

it('random crops lie everywhere in the picture, and a whole one is the picture', () => {
  const corners = Array.from({ length: 200 }, (_, seed) => {
    const [first, , , , , , , , , ...rest] = randomCrops(pictures, { height, width }, 3, randomStream(seed));
    expect(rest).toHaveLength(45);
    return first!;
  });
  const everywhere = [0, 10, 20].flatMap((row) => [0, 1, 2, 3, 4].map((column) => row + column));
  expect([...new Set(corners)].sort((a, b) => a - b)).toEqual(everywhere);

  const square = pictures.subarray(0, 3 * 25);
  expect(randomCrops(square, { height: 5, width: 5 }, 5, randomStream(0))).toEqual(square);
});
