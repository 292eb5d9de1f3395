/** Pictures as bytes, and their conversion to and from the floats that models take and give. */

import { UsageError } from '../errors.ts';

/** Interleaved 8-bit pixels, row by row from the top: [height, width, channels]. */
export interface Image {
  width: number;
  height: number;
  /** RGB or RGBA (alpha not premultiplied). */
  channels: 3 | 4;
  data: Uint8Array;
  /** Of a picture that was read from a file: the path, as it was asked for. What is drawn from the picture names it. */
  path?: string;
}

/**
 * Checks that the sizes are whole and positive and that the data have the length they say.
 *
 * @throws UsageError naming the mismatch
 */
export function createImage(width: number, height: number, channels: 3 | 4, data?: Uint8Array): Image {
  if (!(Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)) {
    throw new UsageError(`an image of ${width}×${height}: expected whole numbers of pixels above 0`);
  }
  const length = width * height * channels;
  if (data !== undefined && data.length !== length) {
    throw new UsageError(
      `an image of ${width}×${height} with ${channels} channels has ${length} bytes, found ${data.length}`,
    );
  }
  return { width, height, channels, data: data ?? new Uint8Array(length) };
}

/** The image with its alpha channel laid over a colour; an RGB image is returned as it is. */
export function flatten(
  image: Image,
  background: readonly [number, number, number] = [255, 255, 255],
): Image {
  if (image.channels === 3) return image;
  const { width, height, data } = image;
  const rgb = new Uint8Array(width * height * 3);
  for (let i = 0; i < width * height; i++) {
    const alpha = data[4 * i + 3]! / 255;
    for (let c = 0; c < 3; c++) {
      const value = data[4 * i + c]!;
      rgb[3 * i + c] = alpha === 1 ? value : Math.round(value * alpha + background[c]! * (1 - alpha));
    }
  }
  return { width, height, channels: 3, data: rgb };
}

/**
 * Writes an RGB image as [3, H, W] floats in [-1, 1], as diffusers' VaeImageProcessor: x / 255 · 2 − 1. Alpha is
 * laid over white first.
 *
 * @param out where to write, from element `offset`; a new array when left out
 */
export function imageToTensor(image: Image, out?: Float32Array, offset = 0): Float32Array {
  const { data, width, height } = flatten(image);
  const plane = width * height;
  const tensor = out ?? new Float32Array(offset + 3 * plane);
  if (tensor.length < offset + 3 * plane) {
    throw new UsageError(
      `${width}×${height} needs ${3 * plane} floats from ${offset}, found ${tensor.length}`,
    );
  }
  for (let i = 0; i < plane; i++) {
    for (let c = 0; c < 3; c++) tensor[offset + c * plane + i] = (data[3 * i + c]! / 255) * 2 - 1;
  }
  return tensor;
}

/**
 * Reads image `index` of [N, 3, H, W] floats, where [-1, 1] is the whole range, into 8 bits as diffusers does:
 * `((x / 2 + 0.5).clamp(0, 1) * 255).round()`, in float32. NaN gives 0.
 *
 * @throws UsageError when the tensor is too short
 */
export function tensorToImage(tensor: Float32Array, width: number, height: number, index = 0): Image {
  const plane = width * height;
  const start = index * 3 * plane;
  if (tensor.length < start + 3 * plane) {
    throw new UsageError(
      `image ${index} of ${width}×${height} ends at element ${start + 3 * plane}, the tensor at ${tensor.length}`,
    );
  }
  const image = createImage(width, height, 3);
  // Clamped arrays round as numpy and torch do, halves to the even neighbour, and take NaN for 0.
  const bytes = new Uint8ClampedArray(image.data.buffer);
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < plane; i++) {
      const unit = Math.fround(Math.fround(tensor[start + c * plane + i]! / 2) + 0.5);
      bytes[3 * i + c] = Math.fround(unit * 255);
    }
  }
  return image;
}
