/** Measures of pictures that need no judge. */
import type { Image } from '../images/image.ts';

/** Peak signal-to-noise ratio of 8-bit pictures in dB, 10 log₁₀(255² / MSE); Infinity for equal ones. */
export function psnr(a: Image, b: Image): number {
  if (a.width !== b.width || a.height !== b.height || a.channels !== b.channels) {
    throw new RangeError(`cannot compare ${a.width}×${a.height} with ${b.width}×${b.height}`);
  }
  let squares = 0;
  for (let i = 0; i < a.data.length; i++) squares += (a.data[i]! - b.data[i]!) ** 2;
  return 10 * Math.log10((255 ** 2 * a.data.length) / squares);
}

/** Mean magnitude of the gradient (differences to the right and lower neighbour), in steps of 8 bits per pixel. */
export function gradientMagnitude({ width, height, channels, data }: Image): number {
  let sum = 0;
  for (let y = 0; y < height - 1; y++) {
    for (let x = 0; x < width - 1; x++) {
      for (let c = 0; c < 3; c++) {
        const at = (y * width + x) * channels + c;
        sum += Math.hypot(data[at + channels]! - data[at]!, data[at + width * channels]! - data[at]!);
      }
    }
  }
  return sum / (3 * (width - 1) * (height - 1));
}
