/**
 * Text to image: prompt → states → noise → denoised latents → pictures. As diffusers' LatentConsistencyModelPipeline,
 * StableDiffusionPipeline and StableDiffusionXLPipeline, draw for draw: latents first, then the noise of each step
 * that needs some.
 */

import type { Components } from '../components/components.ts';
import { hostTensor } from '../graph/host-tensor.ts';
import type { Networks } from '../networks/networks.ts';
import { type Decoded, type GenerationStep, generate, planGeneration } from './generation.ts';
import type { TextToImageRequest } from './settings.ts';

/** Yields every step and returns the pictures. Throws UsageError before anything is loaded. */
export async function* textToImage(
  model: Components,
  networks: Networks,
  request: TextToImageRequest,
): AsyncGenerator<GenerationStep, Decoded> {
  const plan = planGeneration(model, request);
  const { sampler, shape, draw } = plan;
  return yield* generate(plan, networks, async () => {
    const noise = draw().map((value) => value * sampler.initNoiseSigma);
    return { latents: hostTensor(noise, shape) };
  });
}
