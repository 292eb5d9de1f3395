/** The settings of training the judge. */
import type { z } from 'zod';
import { JUDGE_CONFIG, judgeConfig } from '../../evaluation/judge.ts';
import type { JsonObject } from '../../files/json.ts';
import { postcardsOnly, runSettings } from './config.ts';
import { fraction, group, networkConfig, number, readSettings } from './settings.ts';

/** The settings of training the judge, as a schema of zod. */
export const judgeSettings = group('Training the judge.', {
  ...runSettings({
    steps: 1400,
    learningRate: 2e-3,
    warmupSteps: 50,
    constantUntil: 0.2,
    finalFactor: 0.01,
    weightDecay: 1e-2,
    maxGradientNorm: 5,
    ema: 0.995,
    sampleEvery: 0,
  }),
  data: postcardsOnly,
  model: networkConfig("the classifier's configuration", JUDGE_CONFIG, judgeConfig),
  augmentation: group('What is done to pictures, so that the judge forgives what models do to them.', {
    blurProbability: fraction('the share of pictures that are blurred').default(0.3),
    noise: number('noise of up to this standard deviation, in pictures from −1 to 1', { min: 0 }).default(
      0.08,
    ),
    gain: number('channels are multiplied by 1 ± this and shifted by ± half of it, at most', {
      min: 0,
    }).default(0.08),
  }).prefault({}),
  heldOut: fraction(
    'the share of pictures of the held-out combinations, so that the judge knows them all',
  ).default(0.1),
});

/** Settings of training the judge, with every gap filled. */
export type JudgeRunConfig = z.output<typeof judgeSettings>;

/** Throws UsageError for settings that do not exist or are not what they have to be. */
export function judgeRunConfig(given: JsonObject = {}): JudgeRunConfig {
  return readSettings(judgeSettings, given);
}
