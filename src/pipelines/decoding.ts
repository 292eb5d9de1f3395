/** From latents to pictures, in one piece or in tiles. */
import type { RunOptions } from '../engines/engine.ts';
import { float32Data, type HostTensor } from '../graph/host-tensor.ts';
import { type Image, tensorToImage } from '../images/image.ts';
import type { Networks } from './networks.ts';
import { decodeTiled } from './tiling.ts';

export interface DecodingOptions {
  /** The longest side of a tile, in latents; undefined: in one piece. */
  readonly tile: number | undefined;
  /** The autoencoder's. */
  readonly factor: number;
}

/** latents: [B, C, h, w] → pixels [B, 3, H, W]. The signal also stops between tiles and between pictures. */
export function decodePixels(
  networks: Networks,
  latents: HostTensor,
  { tile, factor }: DecodingOptions,
  options?: RunOptions,
): Promise<HostTensor> {
  if (tile === undefined) return networks.decode(latents, options);
  return decodeTiled(latents, tile, factor, (part) => networks.decode(part, options));
}

/** pixels: [B, 3, H, W] in [−1, 1] → B pictures of 8 bits. */
export function imagesOf(pixels: HostTensor): Image[] {
  const [batch, , height, width] = pixels.shape as [number, number, number, number];
  const data = float32Data(pixels);
  return Array.from({ length: batch }, (_, i) => tensorToImage(data, width, height, i));
}
