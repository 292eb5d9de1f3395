/** A quick look at latents. */

import type { Components } from '../components/components.ts';
import type { RunOptions } from '../engines/engine.ts';
import { countFlops } from '../graph/flops.ts';
import type { HostTensor } from '../graph/host-tensor.ts';
import type { Image } from '../images/image.ts';
import type { Networks } from '../networks/networks.ts';
import type { GenerationShapes } from '../networks/values.ts';
import { imagesOf } from './decoding.ts';
import { fitLinearMap, type LinearMap, linearImages, publishedMap } from './linear-preview.ts';

/** latents: [B, C, h, w] → B pictures, as large as the latents or as what is drawn. */
export type Previewer = (latents: HostTensor, options?: RunOptions) => Promise<Image[]>;

/**
 * The best look that is quick. In this order:
 * 1. by the autoencoder that was given for previews;
 * 2. by the model's own, where decoding is no more work than a pass of the UNet (so with AutoencoderTiny, and with
 *    small models);
 * 3. by a linear map, in pictures of the latents' size: the published one for Stable Diffusion's latents, and for
 *    others one that is fitted to the first latents, which are decoded for it.
 *
 * decode: by the model's own autoencoder, [B, C, h, w] → [B, 3, H, W].
 */
export function createPreviewer(
  { vae }: Components,
  networks: Networks,
  shapes: GenerationShapes,
  decode: (latents: HostTensor, options?: RunOptions) => Promise<HostTensor>,
): Previewer {
  let decoderIsQuick: boolean | undefined;
  let map: LinearMap | undefined = publishedMap(vae.config);
  return async (latents, options) => {
    const small = await networks.decodePreview(latents, options);
    if (small) return imagesOf(small);
    decoderIsQuick ??= isDecoderQuick(networks, shapes);
    if (decoderIsQuick) return imagesOf(await decode(latents, options));
    map ??= fitLinearMap(latents, await decode(latents, options));
    return linearImages(map, latents);
  };
}

function isDecoderQuick(networks: Networks, shapes: GenerationShapes): boolean {
  const [batch, ...one] = shapes.latents;
  const programs = networks.programs({ ...shapes, decoded: [1, ...one] });
  const [decoder, denoiser] = (['decoder', 'denoiser'] as const).map((role) =>
    countFlops(programs.get(role)!.program),
  );
  return batch! * decoder! <= denoiser!;
}
