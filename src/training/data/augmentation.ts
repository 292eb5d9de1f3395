/** Making a judge forgive what models do to pictures: blur, noise, and colours a little off. */
import type { Generator } from '../../random/generator.ts';
import type { PictureSize } from './picture-source.ts';

export interface Augmentation {
  /** Share of pictures that are blurred. */
  readonly blurProbability: number;
  /** Noise of up to this standard deviation, in pictures from −1 to 1. */
  readonly noise: number;
  /** Each channel is multiplied by 1 ± this and shifted by ± half of it, at most. */
  readonly gain: number;
}

/** Changes pictures [N, 3, H, W] in place. */
export function augment(
  pictures: Float32Array,
  { height, width }: PictureSize,
  { blurProbability, noise, gain }: Augmentation,
  random: Generator,
): void {
  const plane = height * width;
  const count = pictures.length / (3 * plane);
  const chances = random.uniform(count * 2);
  const tints = random.uniform(count * 6);
  const normals = random.normal(pictures.length);
  for (let n = 0; n < count; n++) {
    const picture = pictures.subarray(n * 3 * plane, (n + 1) * 3 * plane);
    if (chances[2 * n]! < blurProbability) {
      for (let c = 0; c < 3; c++) blur(picture.subarray(c * plane, (c + 1) * plane), height, width);
    }
    const strength = chances[2 * n + 1]! * noise;
    for (let c = 0; c < 3; c++) {
      const factor = 1 + gain * (2 * tints[6 * n + 2 * c]! - 1);
      const shift = (gain / 2) * (2 * tints[6 * n + 2 * c + 1]! - 1);
      for (let i = c * plane; i < (c + 1) * plane; i++) {
        picture[i] = picture[i]! * factor + shift + strength * normals[n * 3 * plane + i]!;
      }
    }
  }
}

/** The binomial kernel [1 2 1]/4 along both axes; borders repeat. */
function blur(plane: Float32Array, height: number, width: number): void {
  smooth(plane, height, width, width, 1);
  smooth(plane, width, height, 1, width);
}

function smooth(plane: Float32Array, lines: number, length: number, lineStep: number, step: number): void {
  for (let line = 0; line < lines; line++) {
    let before = plane[line * lineStep]!;
    for (let i = 0; i < length; i++) {
      const at = line * lineStep + i * step;
      const here = plane[at]!;
      const after = plane[i + 1 < length ? at + step : at]!;
      plane[at] = (before + 2 * here + after) / 4;
      before = here;
    }
  }
}
