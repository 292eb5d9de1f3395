/**
 * Image to image (Meng et al. 2022, SDEdit): the picture's latents with noise, from there on as text to image. As
 * diffusers' LatentConsistencyModelImg2ImgPipeline, StableDiffusionImg2ImgPipeline and its XL sibling, draw for draw:
 * the latents' own posterior, noise, then the noise of each step that needs some. One generator for a whole batch
 * draws one set of latents for all its pictures; one for each picture draws each its own.
 */

import type { Components } from '../components/components.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import { elementCount } from '../graph/shape.ts';
import type { Networks } from '../networks/networks.ts';
import { type Decoded, type GenerationStep, generate, planGeneration } from './generation.ts';
import { drawLatents, encodePixels, pixelsOf, repeated } from './image-latents.ts';
import type { ImageToImageRequest } from './settings.ts';

/** Yields every step and returns the pictures. Throws UsageError before anything is loaded. */
export async function* imageToImage(
  model: Components,
  networks: Networks,
  request: ImageToImageRequest,
): AsyncGenerator<GenerationStep, Decoded> {
  const plan = planGeneration(model, request);
  const { settings, sampler, from, shape, draw, signal } = plan;
  const generators = [plan.generators].flat();
  return yield* generate(plan, networks, async () => {
    const encoded = await encodePixels(networks, pixelsOf(request.image, settings), settings, { signal });
    const original = repeated(drawLatents(encoded, generators), elementCount(shape));
    return { latents: hostTensor(sampler.addNoise(original, draw(), from), shape) };
  });
}
