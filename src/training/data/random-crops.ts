/** Random squares of pictures: what is convolutional learns from them as from whole pictures, and a step costs less. */
import type { Generator } from '../../random/generator.ts';
import type { PictureSize } from './picture-source.ts';

/**
 * Cuts a square anywhere out of each picture, all places alike. pictures: [N, 3, height, width]; returns
 * [N, 3, size, size].
 *
 * @param size at most height and width
 */
export function randomCrops(
  pictures: Float32Array,
  { height, width }: PictureSize,
  size: number,
  random: Generator,
): Float32Array {
  const planes = pictures.length / (height * width);
  const corners = random.uniform(2 * Math.ceil(planes / 3));
  const crops = new Float32Array(planes * size * size);
  for (let plane = 0; plane < planes; plane++) {
    const picture = Math.floor(plane / 3);
    const top = Math.floor(corners[2 * picture]! * (height - size + 1));
    const left = Math.floor(corners[2 * picture + 1]! * (width - size + 1));
    for (let y = 0; y < size; y++) {
      const from = (plane * height + top + y) * width + left;
      crops.set(pictures.subarray(from, from + size), (plane * size + y) * size);
    }
  }
  return crops;
}
