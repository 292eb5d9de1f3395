/** From latents to pictures, in one piece or in tiles. */
import type { RunOptions } from '../engines/engine.ts';
import { joined, partOf } from '../graph/batch.ts';
import { float32Data, type HostTensor } from '../graph/host-tensor.ts';
import { type Image, tensorToImage } from '../images/image.ts';
import type { Networks } from '../networks/networks.ts';
import { decodeTiled, shrunk, tileShape } from '../networks/tiling.ts';

export interface DecodingOptions {
  /** The longest side of a tile, in latents; undefined: in one piece. */
  readonly tile: number | undefined;
  /** The autoencoder's. */
  readonly factor: number;
}

/** latents: [B, C, h, w] → pixels [B, 3, H, W]. The signal also stops between tiles and between pictures. */
export async function decodePixels(
  networks: Networks,
  latents: HostTensor,
  { tile, factor }: DecodingOptions,
  options?: RunOptions,
): Promise<HostTensor> {
  if (tile === undefined) return networks.decode(latents, options);
  const pictures = latents.shape[0]!;
  const shape = tileShape(latents.shape as [number, number, number, number], tile);
  const decoded: HostTensor[] = [];
  for (let i = 0; i < pictures; i++) {
    const picture = partOf(latents, i, pictures);
    const statistics = await networks.decoderStatistics(shrunk(picture, shape), options);
    const decodeTile = (part: HostTensor) => networks.decodeTile(part, statistics, options);
    decoded.push(await decodeTiled(picture, tile, factor, decodeTile));
  }
  return joined(decoded);
}

/** pixels: [B, 3, H, W] in [−1, 1] → B pictures of 8 bits. */
export function imagesOf(pixels: HostTensor): Image[] {
  const [batch, , height, width] = pixels.shape as [number, number, number, number];
  const data = float32Data(pixels);
  return Array.from({ length: batch }, (_, i) => tensorToImage(data, width, height, i));
}
