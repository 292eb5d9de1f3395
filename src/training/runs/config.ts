/** Settings that all training runs share. */
import { z } from 'zod';
import { isJsonObject } from '../../files/json.ts';
import { labelUses } from '../folder/labels.ts';
import { boolean, fraction, group, integer, number, oneOf, text } from './settings.ts';

/** Pictures that are drawn while they are needed. */
const postcardsSettings = group('Postcards, drawn as they are needed.', {
  kind: z.literal('postcards'),
  seed: integer('another seed, other pictures', { min: 0, max: 2 ** 32 - 1 }).default(0),
  size: integer('pixels along each side', { min: 64, max: 512 }).default(64),
  positionProbability: fraction('how often a caption says left, middle or right').default(0.5),
});

/** The user's own pictures with captions; see `openImageFolder`. */
const folderSettings = group('Pictures of a folder with their captions.', {
  kind: z.literal('folder'),
  path: text('the folder'),
  resolution: integer('pixels along each side', { min: 8, max: 4096 }).default(64),
  captionColumn: text('the column of metadata or of a table that holds captions; null finds it')
    .nullable()
    .default(null),
  labels: oneOf(
    'whether names of folders are captions: where no picture has a caption of its own, for every picture without one, or not',
    labelUses,
  ).default('auto'),
  unconditional: boolean('whether pictures are trained on though none of them has a caption').default(false),
  buckets: integer(
    'pictures keep about their form: in place of squares, sizes whose sides are multiples of so many pixels; null for squares. Stable Diffusion takes 64',
    { min: 2, max: 512 },
  )
    .nullable()
    .default(null),
  crop: oneOf('where pictures that are longer than wide are cut, or wider than long', [
    'center',
    'random',
  ]).default('center'),
  flip: boolean('whether left and right are exchanged in every other pass').default(false),
});

export type PostcardsConfig = z.output<typeof postcardsSettings>;
export type FolderConfig = z.output<typeof folderSettings>;
export type DataConfig = PostcardsConfig | FolderConfig;

const dataError = 'an object such as {"kind": "folder", "path": "pictures", "resolution": 64}';

/** Where a kind is not named, a path says that a folder is meant. */
function withKind(given: unknown): unknown {
  if (!isJsonObject(given) || given.kind !== undefined) return given;
  return { kind: given.path === undefined ? 'postcards' : 'folder', ...given };
}

export const dataSettings = z
  .preprocess(
    withKind,
    z.discriminatedUnion('kind', [postcardsSettings, folderSettings], {
      error: (issue) =>
        issue.code === 'invalid_union' ? 'data of the kind "postcards" or "folder"' : dataError,
    }),
  )
  .prefault({});

/** For trainings that only postcards can teach anything. */
export const postcardsOnly = z.preprocess(withKind, postcardsSettings).prefault({});

/** What differs from one kind of training to another among the settings that all have. */
export interface RunDefaults {
  readonly steps: number;
  readonly learningRate: number;
  readonly warmupSteps: number;
  readonly constantUntil: number;
  readonly finalFactor: number;
  readonly weightDecay: number;
  readonly maxGradientNorm?: number;
  readonly ema: number;
  readonly sampleEvery?: number;
}

/** Pictures that latents are made of. */
export const latentsSettings = group('Latents of the pictures, kept in a file.', {
  pictures: integer('pictures that are encoded and trained on, over and over', { min: 1 }).default(100_000),
  sample: boolean(
    "whether latents are drawn from the autoencoder's posterior, anew whenever a picture is seen, in place of its means",
  ).default(false),
  variants: integer(
    'ways in which each picture is encoded where crops or flips are random; null for 4, or 2 with flips alone',
    { min: 1, max: 1000 },
  )
    .nullable()
    .default(null),
  file: text("the file; null keeps it in the run's folder. Several runs on the same data may share one")
    .nullable()
    .default(null),
}).prefault({});

export type LatentsConfig = z.output<typeof latentsSettings>;

/** For trainings whose model draws from prompts. */
export const promptSettings = {
  validationPrompts: z
    .array(text('a prompt'), { error: 'a list of prompts, or null' })
    .min(1, { error: 'a list of prompts, or null' })
    .nullable()
    .describe('what sample sheets show; null takes captions of pictures that are not trained on')
    .default(null),
};

/** The settings of every training; those of one kind of training are put beside them. */
export function runSettings(defaults: RunDefaults) {
  const { learningRate, warmupSteps, constantUntil, finalFactor, weightDecay } = defaults;
  return {
    data: dataSettings,
    steps: integer('updates of the weights', { min: 1 }).default(defaults.steps),
    epochs: number('passes over the pictures of a folder, in place of steps', { above: 0 })
      .nullable()
      .default(null),
    batch: integer('pictures that are computed together', { min: 1 }).default(32),
    accumulate: integer('batches whose gradients make one update: a larger batch in no more memory', {
      min: 1,
      max: 10_000,
    }).default(1),
    seed: integer('decides initial weights, order and noise', { min: 0 }).default(0),
    optimizer: group('AdamW, with gradients clipped.', {
      learningRate: number('the largest learning rate', { above: 0 }).default(learningRate),
      schedule: group('How the learning rate changes.', {
        kind: oneOf('its form after the warm-up', ['constant', 'cosine']).default('cosine'),
        warmupSteps: integer('updates over which it rises', { min: 0 }).default(warmupSteps),
        constantUntil: fraction('cosine: the share of all updates after which it falls').default(
          constantUntil,
        ),
        finalFactor: fraction('cosine: the share of it that is left at the end').default(finalFactor),
      }).prefault({}),
      betas: z
        .tuple(
          [
            number('decay of the first moment', { min: 0, below: 1 }),
            number('decay of the second moment', { min: 0, below: 1 }),
          ],
          { error: 'a list of two numbers' },
        )
        .describe('decay of the two moments')
        .default([0.9, 0.99]),
      epsilon: number('keeps the division from zero', { above: 0 }).default(1e-8),
      weightDecay: number('of matrices and kernels', { min: 0 }).default(weightDecay),
      maxGradientNorm: number('gradients are scaled down to this global L2 norm', { above: 0 }).default(
        defaults.maxGradientNorm ?? 1,
      ),
    }).prefault({}),
    ema: number('decay of the average that is saved as the model', { min: 0, below: 1 }).default(
      defaults.ema,
    ),
    cadence: group('How often something is written.', {
      logEvery: integer('updates between records in metrics.jsonl', { min: 1 }).default(20),
      checkpointEverySteps: integer('updates between checkpoints', { min: 1 }).default(500),
      checkpointEveryMinutes: number('also after so many minutes without one', { above: 0 }).default(5),
      sampleEvery: integer('updates between sample sheets; 0 for none', { min: 0 }).default(
        defaults.sampleEvery ?? 500,
      ),
      keepCheckpoints: integer('checkpoints that are kept, the newest', { min: 1 }).default(1),
      validationBatches: integer(
        'batches of pictures kept for tests whose loss is told with every sample sheet; 0 for none',
        { min: 0 },
      ).default(4),
    }).prefault({}),
  };
}

/** The settings that all trainings have. */
export type RunConfig = z.output<z.ZodObject<ReturnType<typeof runSettings>>>;
