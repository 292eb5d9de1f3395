/** From a picture to the latents of a batch, with the draws that diffusers makes. */
import type { RunOptions } from '../engines/engine.ts';
import { float32Data, hostTensor } from '../graph/host-tensor.ts';
import { flatten, type Image, imageToTensor } from '../images/image.ts';
import { resize } from '../images/resize.ts';
import type { Networks } from '../networks/networks.ts';
import type { EncodedPicture } from '../networks/values.ts';
import type { Generator } from '../random/generator.ts';
import type { Settings } from './settings.ts';

/** The picture as the encoder takes it, resized where its size is another: [3, H, W] in [−1, 1]. */
export function pixelsOf(image: Image, { width, height }: Settings): Float32Array {
  return imageToTensor(resize(flatten(image), width, height));
}

/** What the autoencoder says of pixels [3, H, W]. */
export function encodePixels(
  networks: Networks,
  pixels: Float32Array,
  { width, height }: Settings,
  options?: RunOptions,
): Promise<EncodedPicture> {
  return networks.encode(hostTensor(pixels, [1, 3, height, width]), options);
}

/**
 * Latents drawn from an encoded picture, mean + σ·noise, one after the other by the generators → [N, C, h, w] for N
 * generators. An autoencoder without a deviation draws nothing.
 */
export function drawLatents(
  { mean, deviation }: EncodedPicture,
  generators: readonly Generator[],
): Float32Array<ArrayBuffer> {
  const means = float32Data(mean);
  const deviations = deviation && float32Data(deviation);
  const latents = new Float32Array(generators.length * means.length);
  generators.forEach((generator, image) => {
    const noise = deviations && generator.normal(means.length);
    for (let i = 0; i < means.length; i++) {
      latents[image * means.length + i] = means[i]! + (deviations ? deviations[i]! * noise![i]! : 0);
    }
  });
  return latents;
}

/** [N, ...] over and over, up to `length` elements. */
export function repeated(values: Float32Array, length: number): Float32Array<ArrayBuffer> {
  const result = new Float32Array(length);
  for (let at = 0; at < length; at += values.length) result.set(values, at);
  return result;
}
