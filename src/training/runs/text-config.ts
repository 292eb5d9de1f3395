/** The settings of training a text encoder. */
import type { z } from 'zod';
import type { JsonObject } from '../../files/json.ts';
import { clipTextConfig } from '../../models/clip-text.ts';
import { postcards } from '../../models/presets.ts';
import { postcardsOnly, runSettings } from './config.ts';
import { group, integer, networkConfig, readSettings, text } from './settings.ts';

/** What a text encoder and its tokenizer are where they start afresh. */
export const freshTextSettings = {
  textEncoder: networkConfig(
    "transformers' CLIPTextModel configuration, for a start afresh; vocab_size follows from the tokenizer",
    postcards.textEncoder.config,
    clipTextConfig,
  ),
  vocabularySize: integer('tokens at most; 514 of them are bytes and special tokens', {
    min: 514,
    max: 2 ** 20,
  }).default(1000),
};

/** The settings of training a text encoder, as a schema of zod. */
export const textSettings = group('Training a text encoder.', {
  ...runSettings({
    steps: 1500,
    learningRate: 1e-3,
    warmupSteps: 100,
    constantUntil: 0.3,
    finalFactor: 0.03,
    weightDecay: 1e-2,
    ema: 0.995,
    sampleEvery: 0,
  }),
  data: postcardsOnly,
  initial: text(
    'a diffusers folder whose text encoder and tokenizer the training goes on with; null starts afresh',
  )
    .nullable()
    .default(null),
  ...freshTextSettings,
});

/** Settings of training a text encoder, with every gap filled. */
export type TextRunConfig = z.output<typeof textSettings>;

/** Throws UsageError for settings that do not exist or are not what they have to be. */
export function textRunConfig(given: JsonObject = {}): TextRunConfig {
  return readSettings(textSettings, given);
}
