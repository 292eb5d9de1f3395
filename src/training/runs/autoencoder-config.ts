/** The settings of training an autoencoder. */
import type { z } from 'zod';
import { UsageError } from '../../errors.ts';
import type { JsonObject } from '../../files/json.ts';
import { autoencoderKLConfig } from '../../models/autoencoder-kl.ts';
import { postcards } from '../../models/presets.ts';
import { runSettings } from './config.ts';
import { boolean, group, integer, networkConfig, number, oneOf, readSettings, text } from './settings.ts';

/** For 64×64 pictures: about 57,000 of them give 31 dB, with the decoder alone afterwards 32 dB. */
const DEFAULTS = {
  all: { steps: 1778, learningRate: 2e-3, loss: { l1: 1, mse: 2, gradient: 0.5, kl: 3e-4 } },
  decoder: { steps: 658, learningRate: 1e-3, loss: { l1: 1, mse: 4, gradient: 0.7, kl: 0 } },
};

/** The settings of training an autoencoder, as a schema of zod. part: which defaults, those for all of it or for its decoder alone. */
export function autoencoderSettings(part: 'all' | 'decoder') {
  const { loss, ...defaults } = DEFAULTS[part];
  return group('Training an autoencoder.', {
    ...runSettings({
      ...defaults,
      warmupSteps: 100,
      constantUntil: 0,
      finalFactor: 0.02,
      weightDecay: 1e-4,
      ema: 0.998,
    }),
    part: oneOf('the decoder alone leaves the encoder, and so the latents, as they are in "initial"', [
      'all',
      'decoder',
    ]).default('all'),
    initial: text('a diffusers folder whose vae the training starts from; null starts from random weights')
      .nullable()
      .default(null),
    grow: boolean(
      'puts another level around "initial", as wide as its outermost: its latents then stand for twice as many pixels along each side, and mean what they meant',
    ).default(false),
    model: networkConfig(
      "diffusers' AutoencoderKL configuration, for a start from random weights",
      // The scaling is measured when the training is done.
      { ...postcards.vae.config, scaling_factor: 1 },
      autoencoderKLConfig,
    ),
    cropSize: integer(
      'pixels along each side of a random square that is seen of each picture; null shows whole pictures. Most of a training can be done on small ones, and ended on whole ones from "initial"',
      { min: 8 },
    )
      .nullable()
      .default(null),
    loss: group('What counts how much.', {
      l1: number('the absolute error', { min: 0 }).default(loss.l1),
      mse: number('the squared error', { min: 0 }).default(loss.mse),
      gradient: number('the error of differences between neighbouring pixels, which keeps edges sharp', {
        min: 0,
      }).default(loss.gradient),
      kl: number('the divergence of the latents from N(0, 1)', { min: 0 }).default(loss.kl),
      klReduction: oneOf('kl is the mean over elements, or summed over each picture', [
        'element',
        'image',
      ]).default('element'),
    }).prefault({}),
    latentNoise: number('part "decoder": noise added to the latents, in their standard deviations', {
      min: 0,
    }).default(0.03),
  });
}

/** Settings of training an autoencoder, with every gap filled. */
export type AutoencoderRunConfig = z.output<ReturnType<typeof autoencoderSettings>>;

/** Throws UsageError for settings that do not exist, are not what they have to be, or do not go together. */
export function autoencoderRunConfig(given: JsonObject = {}): AutoencoderRunConfig {
  const config = readSettings(autoencoderSettings(given.part === 'decoder' ? 'decoder' : 'all'), given);
  if (config.part === 'decoder' && config.initial === null) {
    throw new UsageError(
      'training the decoder alone needs a trained autoencoder to start from: name its folder with --initial, or as "initial" in the settings',
    );
  }
  if (config.grow && (config.initial === null || config.part === 'decoder')) {
    throw new UsageError(
      'an autoencoder that is to grow ("grow") needs a smaller one to start from, as "initial" in the settings, and the part "all"',
    );
  }
  return config;
}
