/** The settings of training a diffusion model. */
import { z } from 'zod';
import { betaSchedules, stableDiffusionSchedule } from '../../diffusion/noise-schedule.ts';
import type { JsonObject } from '../../files/json.ts';
import { postcards } from '../../models/presets.ts';
import { unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { latentsSettings, promptSettings, runSettings } from './config.ts';
import {
  boolean,
  fraction,
  group,
  integer,
  networkConfig,
  number,
  oneOf,
  readSettings,
  text,
} from './settings.ts';
import { freshTextSettings } from './text-config.ts';

const beta = (words: string) => number(words, { above: 0, below: 1 });

/** For postcards. Two hours of them on two cores are about 1 million pictures. */
export const diffusionSettings = group('Training a diffusion model.', {
  ...runSettings({
    steps: 10_000,
    learningRate: 1e-3,
    warmupSteps: 150,
    constantUntil: 0.3,
    finalFactor: 0.03,
    weightDecay: 0.01,
    ema: 0.998,
  }),
  ...promptSettings,
  vae: text('a diffusers folder whose vae makes the latents'),
  latents: latentsSettings,
  initial: text(
    'a diffusers folder whose UNet, text encoder and tokenizer the training goes on with; null starts afresh',
  )
    .nullable()
    .default(null),
  initialText: text(
    'a diffusers folder whose text encoder and tokenizer are taken in place of those of "initial" or of fresh ones, such as lcm train text writes',
  )
    .nullable()
    .default(null),
  pooledText: boolean(
    'whether the UNet is told the text as a whole, beside the time, as well as word by word: addition_embed_type "text"',
  ).default(false),
  unet: networkConfig(
    "diffusers' UNet2DConditionModel configuration, for a start afresh",
    postcards.unet.config,
    unet2DConditionConfig,
  ),
  ...freshTextSettings,
  predictionType: oneOf('what the UNet predicts', ['epsilon', 'v_prediction']).default('v_prediction'),
  schedule: group("The noise, by the fields of diffusers' schedulers.", {
    num_train_timesteps: integer('timesteps', { min: 2, max: 10_000 }).default(
      stableDiffusionSchedule.num_train_timesteps,
    ),
    beta_start: beta('the first variance that is added').default(stableDiffusionSchedule.beta_start),
    beta_end: beta('the last one').default(stableDiffusionSchedule.beta_end),
    beta_schedule: oneOf('how the variances rise', betaSchedules).default(
      stableDiffusionSchedule.beta_schedule,
    ),
    trained_betas: z
      .array(beta('a variance'), { error: 'a list of numbers, or null' })
      .nullable()
      .describe('the variances themselves, in place of a formula')
      .default(null),
    rescale_betas_zero_snr: boolean('whether the last timestep is pure noise').default(false),
  }).prefault({}),
  timesteps: group('Which timesteps are seen how often.', {
    tilt: fraction('the share of samples whose timestep is drawn from "from" to "to" alone').default(0),
    from: integer('the first of these', { min: 0 }).default(600),
    to: integer('the last of these', { min: 0 }).default(999),
    importanceWeights: boolean('whether losses count as if all timesteps were drawn alike').default(false),
    pureNoise: fraction('the share of samples that see pure noise at the last timestep').default(0.03),
  }).prefault({}),
  captionDropout: fraction('the share of captions that are left out, for classifier-free guidance').default(
    0.1,
  ),
}).check((context) => {
  const { timesteps, schedule } = context.value;
  const { from, to, tilt } = timesteps;
  if (tilt > 0 && !(from <= to && to < schedule.num_train_timesteps)) {
    context.issues.push({
      code: 'custom',
      path: ['timesteps'],
      input: timesteps,
      message: `from is ${from}, to ${to}; they may not cross, and there are the timesteps 0 to ${schedule.num_train_timesteps - 1}`,
    });
  }
});

/** Settings of training a diffusion model, with every gap filled. */
export type DiffusionRunConfig = z.output<typeof diffusionSettings>;

/** Throws UsageError for settings that do not exist, are missing or are not what they have to be. */
export function diffusionRunConfig(given: JsonObject): DiffusionRunConfig {
  return readSettings(diffusionSettings, given);
}
