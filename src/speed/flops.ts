/** The arithmetic of whole models: counted from their graphs, no weights needed. */

import type { Components } from '../components/components.ts';
import type { Denoiser } from '../components/denoiser.ts';
import { countFlops } from '../graph/flops.ts';
import { program } from '../graph/program.ts';
import { input } from '../graph/tensor.ts';
import { DeclaredParams } from '../layers/params.ts';
import { clipText } from '../models/clip-text.ts';

/** FLOPs of a single picture in each stage. */
export interface StageFlops {
  readonly textEncoder: number;
  /** Of one pass. */
  readonly unet: number;
  readonly decoder: number;
}

/** Latents of Stable Diffusion 1, for models that do not say theirs. */
const USUAL_SIZE = { height: 64, width: 64 };

/** FLOPs of one picture: text encoder once, UNet at every step, decoder once. */
export function pictureFlops(model: Components, steps: number): number {
  const { textEncoder, unet, decoder } = stageFlops(model);
  return textEncoder + steps * unet + decoder;
}

/** At the size the model was made for. */
export function stageFlops({ vae, unet, textEncoder }: Components): StageFlops {
  const { params } = new DeclaredParams();
  const length = textEncoder.config.max_position_embeddings;
  const { latentChannels, sampleSize: { height, width } = USUAL_SIZE } = unet.config;
  const states = clipText(textEncoder.config, params.in('text'), input('ids', [1, length], 'int64'));
  const pixels = vae.config.decode(params.in('vae'), input('latents', [1, latentChannels, height, width]));
  return {
    textEncoder: countFlops(program({ states: states.lastHiddenState })),
    unet: denoiserFlops(unet.config, length),
    decoder: countFlops(program({ pixels })),
  };
}

/** FLOPs of one pass for one picture of the network's own size. tokens: the length of a prompt, with its padding. */
export function denoiserFlops(denoiser: Denoiser, tokens: number): number {
  const { latentChannels, furtherChannels, sampleSize = USUAL_SIZE, guidanceWidth, contextWidth } = denoiser;
  const prediction = denoiser.predict(new DeclaredParams().params, {
    sample: input('sample', [1, latentChannels + furtherChannels, sampleSize.height, sampleSize.width]),
    time: input('timestep', [1]),
    states: input('states', [1, tokens, contextWidth]),
    guidance: guidanceWidth === undefined ? undefined : input('guidance', [1, guidanceWidth]),
  });
  return countFlops(program({ prediction }));
}
