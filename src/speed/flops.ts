/** The arithmetic of whole models: counted from their graphs, no weights needed. */
import { countFlops } from '../graph/flops.ts';
import { program } from '../graph/program.ts';
import { input } from '../graph/tensor.ts';
import { DeclaredParams } from '../layers/params.ts';
import { clipText } from '../models/clip-text.ts';
import { unet2DCondition } from '../models/unet-2d-condition.ts';
import type { UNet2DConditionConfig } from '../models/unet-2d-condition-config.ts';
import type { Components } from '../pipelines/components.ts';

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
  const { sample_size: size, in_channels: channels } = unet.config;
  const side = size ?? 64;
  const states = clipText(textEncoder.config, params.in('text'), input('ids', [1, length], 'int64'));
  const pixels = vae.config.decode(params.in('vae'), input('latents', [1, channels, side, side]));
  return {
    textEncoder: countFlops(program({ states: states.lastHiddenState })),
    unet: unetFlops(unet.config, length),
    decoder: countFlops(program({ pixels })),
  };
}

/** FLOPs of one pass for one picture of the UNet's own size. tokens: the length of a prompt, with its padding. */
export function unetFlops(config: UNet2DConditionConfig, tokens: number): number {
  const { sample_size: size, in_channels: channels, time_cond_proj_dim: guidance } = config;
  const side = size ?? 64;
  const prediction = unet2DCondition(config, new DeclaredParams().params, {
    sample: input('sample', [1, channels, side, side]),
    timestep: input('timestep', [1]),
    encoderHiddenStates: input('states', [1, tokens, config.cross_attention_dim]),
    timestepCond: guidance === null ? undefined : input('guidance', [1, guidance]),
  });
  return countFlops(program({ prediction }));
}
