/**
 * Decoding a large picture in overlapping tiles: an autoencoder's memory grows with the area that it decodes at a
 * time. Where tiles overlap, they fade linearly into each other, as in diffusers' `AutoencoderKL.tiled_decode`; here
 * all tiles have one shape, so that there is one program. Group norms would see one tile at a time and make a grey sky
 * of every flat tile; they are given the statistics of the whole picture, taken from its latents in a tile's size. What
 * still differs from decoding in one piece is that these are estimates, and the attention in the middle.
 */
import { float32Data, type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import type { Shape } from '../graph/shape.ts';

/** Pixels along a side of a tile, unless something else is asked for: what Stable Diffusion was trained at. */
export const USUAL_TILE = 512;

/** The share of a tile's side that its neighbours see too. */
const OVERLAP = 0.25;

/** The shape of one tile of latents [B, C, h, w]; `tile`: its longest side, undefined for no tiles. */
export function tileShape(
  [, channels, height, width]: readonly [number, number, number, number],
  tile = Infinity,
): [number, number, number, number] {
  return [1, channels, Math.min(tile, height), Math.min(tile, width)];
}

/** Whether latents [B, C, h, w] are larger than what is decoded at a time, [1, C, t, t']. */
export function isTiled(latents: Shape, decoded: Shape): boolean {
  return latents.slice(2).some((size, axis) => size !== decoded[axis + 2]);
}

/** Latents [1, C, h, w] in the size of a tile, [1, C, t, t'] with the nearest places: their spread stays as it is. */
export function shrunk(latents: HostTensor, tile: readonly [number, number, number, number]): HostTensor {
  const [, channels, height, width] = latents.shape as [number, number, number, number];
  const [, , tileHeight, tileWidth] = tile;
  const values = float32Data(latents);
  const small = new Float32Array(channels * tileHeight * tileWidth);
  for (let i = 0; i < small.length; i++) {
    const x = Math.floor((((i % tileWidth) + 0.5) * width) / tileWidth);
    const line = Math.floor(i / tileWidth);
    const y = Math.floor((((line % tileHeight) + 0.5) * height) / tileHeight);
    small[i] = values[(Math.floor(line / tileHeight) * height + y) * width + x]!;
  }
  return hostTensor(small, [1, channels, tileHeight, tileWidth]);
}

/**
 * Pixels [B, 3, H, W] of latents [B, C, h, w]. `decode` is given one tile at a time, [1, C, t, t] at most; `factor`:
 * the autoencoder's.
 */
export async function decodeTiled(
  latents: HostTensor,
  tile: number,
  factor: number,
  decode: (tile: HostTensor) => Promise<HostTensor>,
): Promise<HostTensor> {
  const shape = latents.shape as [number, number, number, number];
  const [batch, channels, height, width] = shape;
  const [, , tileHeight, tileWidth] = tileShape(shape, tile);
  const [rows, columns] = [fades(height, tileHeight, factor), fades(width, tileWidth, factor)];
  const [outHeight, outWidth] = [factor * height, factor * width];
  const pixels = new Float32Array(batch * 3 * outHeight * outWidth);
  const values = float32Data(latents);
  for (let image = 0; image < batch; image++) {
    for (const row of rows) {
      for (const column of columns) {
        const part = new Float32Array(channels * tileHeight * tileWidth);
        for (let line = 0; line < channels * tileHeight; line++) {
          const y =
            (image * channels + Math.floor(line / tileHeight)) * height + row.at + (line % tileHeight);
          const from = y * width + column.at;
          part.set(values.subarray(from, from + tileWidth), line * tileWidth);
        }
        const decoded = float32Data(await decode(hostTensor(part, [1, channels, tileHeight, tileWidth])));
        let i = 0;
        for (let line = 0; line < 3 * factor * tileHeight; line++) {
          const [channel, y] = [Math.floor(line / (factor * tileHeight)), line % (factor * tileHeight)];
          const to = (image * 3 + channel) * outHeight + factor * row.at + y;
          const at = to * outWidth + factor * column.at;
          for (let x = 0; x < factor * tileWidth; x++) {
            pixels[at + x]! += row.weights[y]! * column.weights[x]! * decoded[i++]!;
          }
        }
      }
    }
  }
  return hostTensor(pixels, [batch, 3, outHeight, outWidth]);
}

interface Fade {
  /** Where the tile begins, in latents. */
  readonly at: number;
  /** What each of its pixels counts; those of all tiles on one place sum to 1. */
  readonly weights: Float64Array;
}

/** Tiles of `tile` latents over `length`, evenly spread and overlapping by OVERLAP at least. */
function fades(length: number, tile: number, factor: number): Fade[] {
  const step = Math.max(1, tile - Math.ceil(OVERLAP * tile));
  const count = Math.ceil((length - tile) / step) + 1;
  const sum = new Float64Array(factor * length);
  const ramp = factor * (tile - step);
  const tiles = Array.from({ length: count }, (_, i): Fade => {
    const at = count === 1 ? 0 : Math.round((i * (length - tile)) / (count - 1));
    const weights = Float64Array.from({ length: factor * tile }, (_, x) => {
      const fromLeft = i === 0 ? 1 : (x + 0.5) / ramp;
      const fromRight = i === count - 1 ? 1 : (factor * tile - x - 0.5) / ramp;
      return Math.min(1, fromLeft, fromRight);
    });
    weights.forEach((weight, x) => {
      sum[factor * at + x]! += weight;
    });
    return { at, weights };
  });
  return tiles.map(({ at, weights }) => ({ at, weights: weights.map((w, x) => w / sum[factor * at + x]!) }));
}
