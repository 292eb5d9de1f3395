/**
 * Inpainting: what the mask leaves white is drawn anew. As diffusers' StableDiffusionInpaintPipeline and its XL
 * sibling, for both kinds of UNet. One of the ordinary kind sees only the latents, in which the known part is put back
 * after every step, with as much noise as the next expects (Lugmayr et al. 2022, eq. 8). One made for inpainting has
 * further channels: the mask, and the latents of the picture without its white part.
 *
 * Draws, in order: posterior of the picture (left out for an inpainting UNet at strength 1), noise, posterior of the
 * masked picture (drawn even if the UNet does not see it), then the noise of each step that needs some. With a list of
 * generators diffusers draws both posteriors from the first; so it is done here for generators that were given, while
 * for seeds each picture draws its own, so that it looks the same in any batch.
 */

import type { Components } from '../components/components.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { elementCount } from '../graph/shape.ts';
import type { Image } from '../images/image.ts';
import { readMask } from '../images/mask.ts';
import { resize } from '../images/resize.ts';
import type { Networks } from '../networks/networks.ts';
import {
  type Beginning,
  type Decoded,
  type GenerationStep,
  generate,
  type Plan,
  planGeneration,
} from './generation.ts';
import { drawLatents, encodePixels, pixelsOf, repeated } from './image-latents.ts';
import type { InpaintRequest, Settings } from './settings.ts';

/** Yields every step and returns the pictures. Throws UsageError before anything is loaded. */
export async function* inpaint(
  model: Components,
  networks: Networks,
  request: InpaintRequest,
): AsyncGenerator<GenerationStep, Decoded> {
  const plan = planGeneration(model, request);
  const { settings, sampler, from, shape, draw, signal } = plan;
  const length = elementCount(shape);
  const given = [plan.generators].flat();
  const generators = settings.seeds.length > 0 ? given : given.slice(0, 1);
  const seesMask = model.unet.config.furtherChannels > 0;
  const pixels = pixelsOf(request.image!, settings);
  const mask = binaryMask(request.mask, settings);
  const latentMask = everyNth(mask, settings, model.vae.config.factor);
  warnOfUselessMask(latentMask, model.vae.config.factor, plan.onWarning);
  const encode = (values: Float32Array) => encodePixels(networks, values, settings, { signal });

  return yield* generate(plan, networks, async (): Promise<Beginning> => {
    const fromNoise = settings.strength === 1;
    const encoded = seesMask && fromNoise ? undefined : await encode(pixels);
    const original = encoded && repeated(drawLatents(encoded, generators), length);
    const noise = draw();
    const start = fromNoise
      ? noise.map((value) => value * sampler.initNoiseSigma)
      : sampler.addNoise(original!, noise, from);
    const withoutMasked = pixels.map((value, i) => (mask[i % mask.length] === 1 ? 0 : value));
    // Where the UNet does not see it, only the draw matters.
    const masked = drawLatents(seesMask ? await encode(withoutMasked) : encoded!, generators);
    const latents = hostTensor(start, shape);
    if (seesMask) return { latents, furtherChannels: below(latentMask, repeated(masked, length), shape) };
    const restoreKnown = (values: Float32Array, index: number) => {
      const known = index < sampler.timesteps.length ? sampler.addNoise(original!, noise, index) : original!;
      return values.map((value, i) => (latentMask[i % latentMask.length] === 1 ? value : known[i]!));
    };
    return { latents, restoreKnown };
  });
}

/** 1 where the mask is at least half white, else 0: [H, W]. */
function binaryMask(picture: Image, { width, height }: Settings): Float32Array {
  const { data } = resize(readMask(picture).mask, width, height);
  return Float32Array.from({ length: width * height }, (_, i) => {
    const [red, green, blue] = [data[3 * i]!, data[3 * i + 1]!, data[3 * i + 2]!];
    // As PIL makes pictures grey.
    const luma = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16;
    return luma >= 127.5 ? 1 : 0;
  });
}

function warnOfUselessMask(
  mask: Float32Array,
  factor: number,
  onWarning: ((message: string) => void) | undefined,
): void {
  if (mask.every((value) => value === 1)) {
    onWarning?.('the mask is white everywhere: all is drawn anew, and nothing of the image is kept');
  } else if (mask.every((value) => value === 0)) {
    onWarning?.(
      `the mask is black everywhere, or what is white in it is smaller than ${factor} pixels: nothing is drawn anew`,
    );
  }
}

/** The upper left of every factor × factor pixels: [H, W] → [h, w], as torch's nearest interpolation. */
function everyNth(mask: Float32Array, { width, height }: Settings, factor: number): Float32Array {
  const [across, down] = [width / factor, height / factor];
  return Float32Array.from({ length: across * down }, (_, i) => {
    const [x, y] = [i % across, Math.floor(i / across)];
    return mask[y * factor * width + x * factor]!;
  });
}

/** Mask [h, w] and masked latents [B, C, h, w] as what the UNet sees below its latents: [B, 1 + C, h, w]. */
function below(mask: Float32Array, masked: Float32Array, shape: Plan['shape']): HostTensor {
  const [batch, channels, height, width] = shape;
  const size = channels * mask.length;
  const further = new Float32Array(batch * (mask.length + size));
  for (let image = 0; image < batch; image++) {
    const at = image * (mask.length + size);
    further.set(mask, at);
    further.set(masked.subarray(image * size, (image + 1) * size), at + mask.length);
  }
  return hostTensor(further, [batch, 1 + channels, height, width]);
}
