/** Resizing with PIL's filters, and the centre crop that training pictures get. */

import { createImage, type Image } from './image.ts';

export type ResizeFilter = 'box' | 'bicubic' | 'lanczos';

interface Kernel {
  /** Half the width, in source pixels, when not shrinking. */
  support: number;
  weight(x: number): number;
}

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x);
}

const KERNELS: Record<ResizeFilter, Kernel> = {
  box: { support: 0.5, weight: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) },
  bicubic: {
    support: 2,
    // Keys 1981 with a = −0.5.
    weight(x) {
      const t = Math.abs(x);
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      return t < 2 ? ((-0.5 * t + 2.5) * t - 4) * t + 2 : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (Math.abs(x) < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

interface Tap {
  /** The first source pixel and the weights, of sum 1, from there on. */
  first: number;
  weights: Float64Array;
}

/** For every output pixel, which source pixels it is made of; a shrinking kernel is widened, against aliasing. */
function taps(from: number, to: number, { support, weight }: Kernel): Tap[] {
  const scale = from / to;
  const widen = Math.max(1, scale);
  return Array.from({ length: to }, (_, i) => {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.floor(centre - support * widen + 0.5));
    const end = Math.min(from, Math.floor(centre + support * widen + 0.5));
    const weights = Float64Array.from({ length: Math.max(1, end - first) }, (_, k) =>
      weight((first + k + 0.5 - centre) / widen),
    );
    const sum = weights.reduce((a, b) => a + b, 0);
    // The weights are fixed-point numbers of 22 bits, as in PIL.
    const fixed = weights.map((w) => Math.round((w / sum) * 2 ** 22) / 2 ** 22);
    return { first: Math.min(first, from - 1), weights: fixed };
  });
}

/** Resizes rows of `width` pixels with `channels` values each. RGB is rounded to 8 bits in each direction, as in PIL. */
function resizeRows(data: Float64Array, width: number, channels: number, plan: readonly Tap[]): Float64Array {
  const rows = data.length / (width * channels);
  const out = new Float64Array(rows * plan.length * channels);
  let o = 0;
  for (let y = 0; y < rows; y++) {
    for (const { first, weights } of plan) {
      for (let c = 0; c < channels; c++) {
        let sum = 0;
        for (let k = 0; k < weights.length; k++) {
          sum += weights[k]! * data[(y * width + first + k) * channels + c]!;
        }
        out[o++] = channels === 3 ? byte(sum) : sum;
      }
    }
  }
  return out;
}

function byte(value: number): number {
  return Math.max(0, Math.min(255, Math.round(value)));
}

/** [h, w, c] → [w, h, c]. */
function transposed(data: Float64Array, width: number, height: number, channels: number): Float64Array {
  const out = new Float64Array(data.length);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++)
        out[(x * height + y) * channels + c] = data[(y * width + x) * channels + c]!;
    }
  }
  return out;
}

/**
 * Resizes an image to width × height, the aspect ratio not kept. Colours of transparent pixels do not bleed: they
 * are weighted with their alpha.
 *
 * @param filter `lanczos` (the default) and `bicubic` as in PIL; `box` averages areas when shrinking
 * @throws UsageError when the size is not whole and positive
 */
export function resize(image: Image, width: number, height: number, filter: ResizeFilter = 'lanczos'): Image {
  const resized = createImage(width, height, image.channels);
  if (width === image.width && height === image.height) {
    resized.data.set(image.data);
    return resized;
  }
  const { channels } = image;
  const source = Float64Array.from(image.data);
  if (channels === 4) {
    for (let i = 0; i < source.length; i++) if (i % 4 !== 3) source[i]! *= source[i - (i % 4) + 3]! / 255;
  }
  const kernel = KERNELS[filter];
  const wide = resizeRows(source, image.width, channels, taps(image.width, width, kernel));
  const turned = transposed(wide, width, image.height, channels);
  const tall = resizeRows(turned, image.height, channels, taps(image.height, height, kernel));
  const result = transposed(tall, height, width, channels);
  for (let i = 0; i < result.length; i++) {
    const alpha = channels === 4 && i % 4 !== 3 ? result[i - (i % 4) + 3]! / 255 : 1;
    const value = alpha > 0 ? result[i]! / alpha : 0;
    resized.data[i] = byte(value);
  }
  return resized;
}
