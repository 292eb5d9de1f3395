/** The networks of a model, each as the program that it is for given shapes. */

import type { Autoencoder } from '../components/autoencoder.ts';
import type { Component, Components } from '../components/components.ts';
import type { Program } from '../graph/program.ts';
import { program } from '../graph/program.ts';
import type { Shape } from '../graph/shape.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import { groupStatistics } from '../layers/normalization.ts';
import { DeclaredParams, type Params } from '../layers/params.ts';
import { clipFinalLayerNorm, clipText, clipTextProjection } from '../models/clip-text.ts';
import { type AppliedLora, withLoras } from '../weights/lora.ts';
import type { LoraComponent } from '../weights/lora-file.ts';
import { paramsFromWeights } from '../weights/source.ts';
import type { Weights } from '../weights/weights.ts';

/** A network that is to be compiled. */
export interface Network {
  /** For messages and profiles: `UNet`. */
  readonly name: string;
  /** What LoRAs call it; undefined where there are none for it. */
  readonly adaptable?: LoraComponent;
  readonly component: Component<unknown>;
  /** What it was written for: shapes, mostly. Networks of one name and one variation are the same. */
  readonly variation: readonly unknown[];
  write(params: Params): Record<string, Tensor>;
}

/** Shapes of what SDXL's UNet is told besides the states. */
export interface AddedShapes {
  readonly textEmbeds: Shape;
  readonly timeIds: Shape;
}

/** ids: [U, L] → states [U, L, D]. */
export function textEncoderNetwork({ textEncoder }: Components, ids: Shape, clipSkip: number): Network {
  const { config } = textEncoder;
  return {
    name: 'text encoder',
    adaptable: 'text_encoder',
    component: textEncoder,
    variation: [ids, clipSkip],
    write(params) {
      const { lastHiddenState, hiddenStates } = clipText(config, params, input('ids', ids, 'int64'));
      if (clipSkip === 0) return { states: lastHiddenState };
      return { states: clipFinalLayerNorm(config, params, hiddenStates.at(-1 - clipSkip)!) };
    },
  };
}

/** One of SDXL's. ids: [U, L] → states [U, L, D]; the second also gives pooled [U, P]. */
export function xlTextEncoderNetwork(
  { textEncoder, second }: Components,
  which: 'first' | 'second',
  ids: Shape,
  clipSkip: number,
): Network {
  const component = which === 'first' ? textEncoder : second!.textEncoder;
  return {
    name: `${which} text encoder`,
    adaptable: which === 'first' ? 'text_encoder' : 'text_encoder_2',
    component,
    variation: [ids, clipSkip],
    write(params): Record<string, Tensor> {
      const { hiddenStates, pooled } = clipText(component.config, params, input('ids', ids, 'int64'));
      const states = hiddenStates.at(-2 - clipSkip)!;
      if (which === 'first') return { states };
      return { states, pooled: clipTextProjection(component.config, params, pooled) };
    },
  };
}

/** sample: [B, C, h, w], states: [B, L, D], guidance: [B, E] → prediction [B, C, h, w]. */
export function unetNetwork(
  { unet }: Components,
  sample: Shape,
  states: Shape,
  guidance: Shape | undefined,
  added: AddedShapes | undefined,
): Network {
  return {
    name: 'UNet',
    adaptable: 'unet',
    component: unet,
    variation: [sample, states, guidance, added],
    write: (params) => ({
      prediction: unet.config.predict(params, {
        sample: input('sample', sample),
        time: input('timesteps', [sample[0]!]),
        states: input('states', states),
        guidance: guidance && input('guidance', guidance),
        added: added && {
          textEmbeds: input('textEmbeds', added.textEmbeds),
          timeIds: input('timeIds', added.timeIds),
        },
      }),
    }),
  };
}

/** pixels: [1, 3, H, W] → mean and deviation [1, C, h, w]. */
export function encoderNetwork({ vae }: Components, pixels: Shape): Network {
  return {
    name: 'VAE encoder',
    component: vae,
    variation: [pixels],
    write: (params) => ({ ...vae.config.encode(params, input('pixels', pixels)) }),
  };
}

/** latents: [B, C, h, w] → pixels [B, 3, H, W]. */
export function decoderNetwork(name: string, vae: Component<Autoencoder>, latents: Shape): Network {
  return {
    name,
    component: vae,
    variation: [latents],
    write: (params) => ({ pixels: vae.config.decode(params, input('latents', latents)) }),
  };
}

/**
 * The statistics of the decoder's group norms, for tiles to be normalised by: `<layer>/mean` and `<layer>/variance`,
 * [1, groups] each. latents: [1, C, h, w]. Undefined for decoders without group norms.
 */
export function decoderStatisticsNetwork(vae: Component<Autoencoder>, latents: Shape): Network | undefined {
  const network: Network = {
    name: 'VAE decoder statistics',
    component: vae,
    variation: [latents],
    write(params) {
      const statistics: Record<string, Tensor> = {};
      const recording = params.normalizedBy((layer, x, groups) => {
        const { mean, variance } = groupStatistics(x, groups);
        statistics[`${layer}/mean`] = mean;
        statistics[`${layer}/variance`] = variance;
        return undefined;
      });
      vae.config.decode(recording, input('latents', latents));
      return statistics;
    },
  };
  const { params } = new DeclaredParams();
  return Object.keys(network.write(params)).length > 0 ? network : undefined;
}

/** latents: [1, C, h, w], and the statistics of `decoderStatisticsNetwork` → pixels [1, 3, H, W]. */
export function tileDecoderNetwork(vae: Component<Autoencoder>, latents: Shape): Network {
  return {
    name: 'VAE decoder',
    component: vae,
    variation: [latents, 'tile'],
    write(params) {
      const normalized = params.normalizedBy((layer, _, groups) => ({
        mean: input(`${layer}/mean`, [1, groups]),
        variance: input(`${layer}/variance`, [1, groups]),
      }));
      return { pixels: vae.config.decode(normalized, input('latents', latents)) };
    },
  };
}

/** The network as a program, and the weights to bind. Throws InputError when some of them are missing. */
export function programOf(
  { adaptable, component: { location, weights }, write }: Network,
  loras: readonly AppliedLora[],
): { readonly program: Program; readonly weights: Weights } {
  const stored = paramsFromWeights(weights);
  const adapted = adaptable && withLoras(stored.params, adaptable, loras);
  const outputs = write(adapted?.params ?? stored.params);
  stored.requireAll(location);
  adapted?.requireUsed();
  const all = adapted && adapted.weights.size > 0 ? new Map([...weights, ...adapted.weights]) : weights;
  return { program: program(outputs), weights: all };
}
