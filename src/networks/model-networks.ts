/** The networks of a model. What each is called with, by name, and what it gives is said beside it. */
import type { Autoencoder } from '../components/autoencoder.ts';
import type { Component, Components } from '../components/components.ts';
import { input, type Tensor } from '../graph/tensor.ts';
import { groupStatistics } from '../layers/normalization.ts';
import { DeclaredParams } from '../layers/params.ts';
import { clipFinalLayerNorm, clipText, clipTextProjection } from '../models/clip-text.ts';
import type { Network } from './network.ts';

/** ids: [U, L] int64 → states [U, L, D], without the last `clipSkip` layers. */
export function textEncoderNetwork({ textEncoder }: Components, clipSkip: number): Network {
  const { config } = textEncoder;
  return {
    role: 'text-encoder',
    name: 'text encoder',
    adaptable: 'text_encoder',
    component: textEncoder,
    variation: [clipSkip],
    write(params, { ids }) {
      const { lastHiddenState, hiddenStates } = clipText(config, params, ids!);
      if (clipSkip === 0) return { states: lastHiddenState };
      return { states: clipFinalLayerNorm(config, params, hiddenStates.at(-1 - clipSkip)!) };
    },
  };
}

/** One of SDXL's. ids: [U, L] int64 → states [U, L, D]; the second also gives pooled [U, P]. */
export function xlTextEncoderNetwork(
  { textEncoder, second }: Components,
  which: 'first' | 'second',
  clipSkip: number,
): Network {
  const component = which === 'first' ? textEncoder : second!.textEncoder;
  return {
    role: which === 'first' ? 'text-encoder' : 'second-text-encoder',
    name: `${which} text encoder`,
    adaptable: which === 'first' ? 'text_encoder' : 'text_encoder_2',
    component,
    variation: [clipSkip],
    write(params, { ids }): Record<string, Tensor> {
      const { hiddenStates, pooled } = clipText(component.config, params, ids!);
      const states = hiddenStates.at(-2 - clipSkip)!;
      if (which === 'first') return { states };
      return { states, pooled: clipTextProjection(component.config, params, pooled) };
    },
  };
}

/**
 * sample: [B, C, h, w], timesteps: [B], states: [B, L, D]; where the model takes them guidance: [B, E], textEmbeds: [B, P]
 * and timeIds: [B, 6] → prediction [B, C, h, w].
 */
export function denoiserNetwork({ unet }: Components): Network {
  return {
    role: 'denoiser',
    name: 'UNet',
    adaptable: 'unet',
    component: unet,
    write: (params, { sample, timesteps, states, guidance, textEmbeds, timeIds }) => ({
      prediction: unet.config.predict(params, {
        sample: sample!,
        time: timesteps!,
        states: states!,
        guidance,
        added: textEmbeds && timeIds && { textEmbeds, timeIds },
      }),
    }),
  };
}

/** pixels: [B, 3, H, W] → mean and, where there is one, deviation [B, C, h, w]. */
export function encoderNetwork(vae: Component<Autoencoder>): Network {
  return {
    role: 'encoder',
    name: 'VAE encoder',
    component: vae,
    write: (params, { pixels }) => ({ ...vae.config.encode(params, pixels!) }),
  };
}

/** latents: [B, C, h, w] → pixels [B, 3, H, W]. */
export function decoderNetwork(
  vae: Component<Autoencoder>,
  role: 'decoder' | 'preview-decoder' = 'decoder',
): Network {
  return {
    role,
    name: role === 'decoder' ? 'VAE decoder' : 'preview decoder',
    component: vae,
    write: (params, { latents }) => ({ pixels: vae.config.decode(params, latents!) }),
  };
}

/** pixels: [B, 3, H, W] → what is left of them after the latents, [B, 3, H, W], not clamped. */
export function autoencoderNetwork(vae: Component<Autoencoder>): Network {
  const { encode, decode } = vae.config;
  return {
    role: 'autoencoder',
    name: 'autoencoder',
    component: vae,
    write: (params, { pixels }) => ({ pixels: decode(params, encode(params, pixels!).mean) }),
  };
}

/**
 * The statistics of the decoder's group norms, for tiles to be normalised by: `<layer>/mean` and `<layer>/variance`,
 * [1, groups] each. latents: [1, C, h, w]. Undefined for decoders without group norms.
 */
export function decoderStatisticsNetwork(vae: Component<Autoencoder>): Network | undefined {
  const network: Network = {
    role: 'decoder-statistics',
    name: 'VAE decoder statistics',
    component: vae,
    write(params, { latents }) {
      const statistics: Record<string, Tensor> = {};
      const recording = params.normalizedBy((layer, x, groups) => {
        const { mean, variance } = groupStatistics(x, groups);
        statistics[`${layer}/mean`] = mean;
        statistics[`${layer}/variance`] = variance;
        return undefined;
      });
      vae.config.decode(recording, latents!);
      return statistics;
    },
  };
  const { params } = new DeclaredParams();
  const latents = input('latents', [1, vae.config.latentChannels, 8, 8]);
  return Object.keys(network.write(params, { latents })).length > 0 ? network : undefined;
}

/** latents: [1, C, h, w], and the statistics of `decoderStatisticsNetwork` → pixels [1, 3, H, W]. */
export function tileDecoderNetwork(vae: Component<Autoencoder>): Network {
  return {
    role: 'decoder',
    name: 'VAE decoder',
    component: vae,
    variation: ['tile'],
    write(params, { latents, ...statistics }) {
      const normalized = params.normalizedBy((layer) => {
        const [mean, variance] = [statistics[`${layer}/mean`], statistics[`${layer}/variance`]];
        return mean && variance && { mean, variance };
      });
      return { pixels: vae.config.decode(normalized, latents!) };
    },
  };
}
