import { describe, expect, it } from 'vitest';
import { createImage, type Image } from '../images/image.ts';
import { gradientMagnitude, psnr } from './picture-measures.ts';

/** 4×3 pictures; value of each channel by place. */
function picture(value: (x: number, y: number) => number): Image {
  const image = createImage(4, 3, 3);
  for (let i = 0; i < image.data.length; i++) {
    const pixel = Math.floor(i / 3);
    image.data[i] = value(pixel % 4, Math.floor(pixel / 4));
  }
  return image;
}

describe('PSNR', () => {
  it('is 20 log10(255 / d) for pictures that differ by d everywhere', () => {
    const base = picture((x, y) => 10 * x + y);
    const brighter = picture((x, y) => 10 * x + y + 5);
    expect(psnr(base, brighter)).toBeCloseTo(20 * Math.log10(255 / 5), 10);
  });

  it('is infinite for equal pictures', () => {
    const image = picture((x) => x);
    expect(psnr(image, image)).toBe(Number.POSITIVE_INFINITY);
  });

  it('refuses pictures of different sizes', () => {
    expect(() =>
      psnr(
        picture(() => 0),
        createImage(3, 3, 3),
      ),
    ).toThrow(/cannot compare/);
  });
});

describe('gradient magnitude', () => {
  it('is the length of the slope of a plane', () => {
    expect(gradientMagnitude(picture((x, y) => 3 * x + 4 * y))).toBeCloseTo(5, 10);
  });

  it('is 0 for a flat picture', () => {
    expect(gradientMagnitude(picture(() => 90))).toBe(0);
  });
});
