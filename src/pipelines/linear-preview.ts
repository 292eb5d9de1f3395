/**
 * Latents to colours by a linear map, pixel by pixel: what an autoencoder does to a latent is, to a first
 * approximation, to give it a colour. The pictures are as small as the latents, and cost nothing.
 */
import { Matrix, solve } from 'ml-matrix';
import type { Autoencoder } from '../components/autoencoder.ts';
import { float32Data, type HostTensor } from '../graph/host-tensor.ts';
import { type Image, tensorToImage } from '../images/image.ts';

/** rgb = Σ_c factors[c] · latent[c] + bias, in [−1, 1]. */
export interface LinearMap {
  /** For each latent channel what it adds to red, green and blue. */
  readonly factors: readonly (readonly [number, number, number])[];
  readonly bias: readonly [number, number, number];
}

/** Of Stable Diffusion 1 and 2, by Kevin Turner: discuss.huggingface.co/t/decoding-latents-to-rgb-without-upscaling/23204. */
const stableDiffusion: LinearMap = {
  factors: [
    [0.298, 0.207, 0.208],
    [0.187, 0.286, 0.173],
    [-0.158, 0.189, 0.264],
    [-0.184, -0.271, -0.473],
  ],
  bias: [0, 0, 0],
};

/** Of Stable Diffusion XL, by Timothy Alexis Vass: huggingface.co/blog/TimothyAlexisVass/explaining-the-sdxl-latent-space. */
const stableDiffusionXL: LinearMap = {
  factors: [fromBytes(60, 60, 60), fromBytes(-60, -5, 10), fromBytes(25, 15, -5), fromBytes(-70, -50, -35)],
  bias: fromBytes(150 - 127.5, 140 - 127.5, 130 - 127.5),
};

/** Differences of 8-bit values as differences in [−1, 1]. */
function fromBytes(...values: [number, number, number]): [number, number, number] {
  return values.map((value) => value / 127.5) as [number, number, number];
}

/** The published map for the latents of Stable Diffusion's autoencoders, which are told by their sizes and scales. */
export function publishedMap({ latentChannels, widths, scalingFactor }: Autoencoder): LinearMap | undefined {
  // The scale alone says little: it is what a configuration has that names none.
  if (latentChannels !== 4 || widths.join() !== '128,256,512,512') return undefined;
  if (scalingFactor === 0.18215) return stableDiffusion;
  return scalingFactor === 0.13025 ? stableDiffusionXL : undefined;
}

/**
 * The map that comes nearest, by least squares, to what a decoder made of the first picture of a batch.
 * latents: [B, C, h, w], pixels: [B, 3, f·h, f·w].
 */
export function fitLinearMap(latents: HostTensor, pixels: HostTensor): LinearMap {
  const [, channels, height, width] = latents.shape as [number, number, number, number];
  const factor = pixels.shape[3]! / width;
  const [values, colours] = [float32Data(latents), meanOfBlocks(float32Data(pixels), width, height, factor)];
  const plane = height * width;
  const size = channels + 1;
  // The normal equations AᵀA x = Aᵀb; the last column of A is ones.
  const square = Matrix.zeros(size, size);
  const right = Matrix.zeros(size, 3);
  for (let i = 0; i < plane; i++) {
    const row = Array.from({ length: size }, (_, c) => (c < channels ? values[c * plane + i]! : 1));
    for (let a = 0; a < size; a++) {
      for (let b = 0; b < size; b++) square.set(a, b, square.get(a, b) + row[a]! * row[b]!);
      for (let c = 0; c < 3; c++) right.set(a, c, right.get(a, c) + row[a]! * colours[c * plane + i]!);
    }
  }
  // By singular values: a picture of one colour leaves the equations without a single solution.
  const rows = solve(square, right, true).to2DArray() as [number, number, number][];
  return { factors: rows.slice(0, channels), bias: rows[channels]! };
}

/** Pictures of the latents' size. latents: [B, C, h, w]. */
export function linearImages({ factors, bias }: LinearMap, latents: HostTensor): Image[] {
  const [batch, channels, height, width] = latents.shape as [number, number, number, number];
  const values = float32Data(latents);
  const plane = height * width;
  return Array.from({ length: batch }, (_, image) => {
    const rgb = new Float32Array(3 * plane);
    for (let colour = 0; colour < 3; colour++) {
      for (let i = 0; i < plane; i++) {
        let sum = bias[colour]!;
        for (let c = 0; c < channels; c++) {
          sum += factors[c]![colour]! * values[(image * channels + c) * plane + i]!;
        }
        rgb[colour * plane + i] = sum;
      }
    }
    return tensorToImage(rgb, width, height);
  });
}

/** The mean of every factor × factor pixels of the first picture: [3, f·h, f·w] → [3, h, w]. */
function meanOfBlocks(pixels: Float32Array, width: number, height: number, factor: number): Float32Array {
  const means = new Float32Array(3 * height * width);
  for (let line = 0; line < 3 * factor * height; line++) {
    const to = Math.floor(line / factor) * width;
    for (let x = 0; x < factor * width; x++) {
      means[to + Math.floor(x / factor)]! += pixels[line * factor * width + x]! / factor ** 2;
    }
  }
  return means;
}
