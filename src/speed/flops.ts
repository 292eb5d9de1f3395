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

/** FLOPs of one picture: text encoder once, UNet at every step, decoder once. */
export function pictureFlops(model: Components, steps: number): number {
  const { textEncoder, unet, decoder } = stageFlops(model);
  return textEncoder + steps * unet + decoder;
}

/** At the size the model was made for. */
export function stageFlops({ vae, unet, textEncoder }: Components): StageFlops {
  const { params } = new DeclaredParams();
  const length = textEncoder.config.max_position_embeddings;
  const { latentChannels, sampleSize: side = 64 } = unet.config;
  const states = clipText(textEncoder.config, params.in('text'), input('ids', [1, length], 'int64'));
  const pixels = vae.config.decode(params.in('vae'), input('latents', [1, latentChannels, side, side]));
  return {
    textEncoder: countFlops(program({ states: states.lastHiddenState })),
    unet: denoiserFlops(unet.config, length),
    decoder: countFlops(program({ pixels })),
  };
}

/** FLOPs of one pass for one picture of the network's own size. tokens: the length of a prompt, with its padding. */
export function denoiserFlops(
  { latentChannels, furtherChannels, sampleSize = 64, guidanceWidth, contextWidth, predict }: Denoiser,
  tokens: number,
): number {
  const prediction = predict(new DeclaredParams().params, {
    sample: input('sample', [1, latentChannels + furtherChannels, sampleSize, sampleSize]),
    time: input('timestep', [1]),
    states: input('states', [1, tokens, contextWidth]),
    guidance: guidanceWidth === undefined ? undefined : input('guidance', [1, guidanceWidth]),
  });
  return countFlops(program({ prediction }));
}
