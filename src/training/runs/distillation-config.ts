/** The settings of distilling a latent consistency model. */
import { z } from 'zod';
import { solverNames } from '../../diffusion/affine.ts';
import { isJsonObject, type JsonObject } from '../../files/json.ts';
import { loraFormats } from '../../weights/format-lora.ts';
import { latentsSettings, promptSettings, runSettings } from './config.ts';
import { presetNames, presets } from './presets.ts';
import {
  fraction,
  group,
  groupError,
  integer,
  number,
  oneOf,
  overlay,
  readSettings,
  text,
} from './settings.ts';

const loraSettings = group('Low-rank additions.', {
  rank: integer('their rank', { min: 1 }).default(64),
  alpha: number('they count alpha / rank; alpha is the rank where it is not given', { above: 0 }),
  layers: oneOf('all: the layers of an LCM-LoRA, convolutions too; attention: its projections alone', [
    'all',
    'attention',
  ]).default('all'),
});

/** Which levels of noise are compared. σ is told as in the papers, whose data have the deviation 0.5. */
const pairSettings = group('Which two levels of noise are compared.', {
  kind: oneOf(
    'grid: neighbours on the grid of timesteps; karras: neighbours among levels that double in number (iCT); continuous: any level and one below, nearer and nearer (ECT); for the objectives diffusion and output, one level: uniform, a timestep, or lognormal',
    ['grid', 'karras', 'continuous', 'uniform', 'lognormal'],
  ).default('grid'),
  firstIntervals: integer('karras: intervals between levels at the beginning', {
    min: 1,
    max: 10_000,
  }).default(10),
  lastIntervals: integer('karras: and at most', { min: 1, max: 10_000 }).default(1280),
  mean: number('karras, continuous, lognormal: mean of ln σ, for data of the deviation 0.5').default(-1.1),
  deviation: number('karras, continuous, lognormal: standard deviation of ln σ', { above: 0 }).default(2),
  stages: integer('continuous: stages of equal length', { min: 1, max: 64 }).default(8),
  ratio: number('continuous: by which every stage shrinks the gap', { above: 1 }).default(2),
})
  .refine(({ firstIntervals, lastIntervals }) => firstIntervals <= lastIntervals, {
    path: ['lastIntervals'],
    error: 'at least firstIntervals',
  })
  .prefault({});

/** For postcards: 50,000 pictures bring 4 steps within 2 points of the teacher's 100 passes. */
export const distillationSettings = group('Distilling a latent consistency model.', {
  ...runSettings({
    steps: 1680,
    learningRate: 3e-4,
    warmupSteps: 50,
    constantUntil: 0.4,
    finalFactor: 0.05,
    weightDecay: 0,
    ema: 0.995,
  }),
  ...promptSettings,
  preset: oneOf('a way, whose settings are the defaults of the others', presetNames).nullable().default(null),
  teacher: text('a diffusers folder: the teacher, the start of the student, and all that is not trained'),
  loras: z
    .array(text('a LoRA'), { error: 'a list of LoRAs, e.g. ["style.safetensors:0.8"]' })
    .describe('LoRAs that the teacher, and the start of the student, has merged in')
    .default([]),
  latents: latentsSettings,
  objective: oneOf(
    'consistency; diffusion, which trains the teacher on (with lora, an ordinary LoRA), its text encoder as it is; output, which makes a smaller student predict what the teacher predicts',
    ['consistency', 'diffusion', 'output'],
  ).default('consistency'),
  student: z
    .record(z.string(), z.unknown(), { error: 'an object with fields of a UNet configuration, or null' })
    .nullable()
    .describe(
      'fields of diffusers\' UNet2DConditionModel configuration in which the student differs from the teacher, e.g. {"layers_per_block": 1}; it starts from the weights that both have',
    )
    .default(null),
  start: text(
    'weights that the student starts from: "teacher", "random", or a model, such as one of the objective output, whose UNet it then is',
  ).default('teacher'),
  captionDropout: fraction('the share of captions that are left out').default(0),
  minSnrGamma: number('diffusion, output: γ of min-SNR weights; null weighs all levels alike', { above: 0 })
    .nullable()
    .default(null),
  stepBack: oneOf(
    'what gives the earlier point: guided steps of the teacher, or the same noise without any teacher',
    ['teacher', 'data'],
  ).default('teacher'),
  solver: oneOf("the method of the teacher's steps; euler is another name of ddim", solverNames).default(
    'ddim',
  ),
  substeps: integer("the teacher's steps from one point of the grid to the one before", {
    min: 1,
    max: 1000,
  }).default(1),
  target: oneOf('whose prediction at the earlier point is learned: that of the average, or the own one', [
    'average',
    'student',
  ]).default('average'),
  pairs: pairSettings,
  lora: z
    .preprocess(
      (given) =>
        isJsonObject(given) && given.alpha === undefined ? { ...given, alpha: given.rank ?? 64 } : given,
      z
        .strictObject(loraSettings.shape, { error: groupError(Object.keys(loraSettings.shape), 'null') })
        .nullable(),
    )
    .describe('trains low-rank additions, with the student as its own target, in place of all weights')
    .default(null),
  guidance: group('The range of w = guidance scale − 1, drawn for every sample.', {
    min: number('the least', { min: 0 }).default(0.5),
    max: number('the most', { min: 0 }).default(3),
  })
    .refine(({ min, max }) => min <= max, {
      error: ({ input }) => {
        const { min, max } = input as { min: number; max: number };
        return `min is ${min}, max ${max}; min may not be the larger one`;
      },
    })
    .prefault({}),
  timeCondProjDim: integer(
    "width of the student's guidance embedding; null for none (always none with lora or without a teacher)",
    { min: 4, max: 65_536 },
  )
    .nullable()
    .default(256),
  timeCondProjInit: number('standard deviation of the initial weights that take the guidance embedding in', {
    min: 0,
  }).default(0.01),
  gridSize: integer('intervals of the grid of timesteps', { min: 1, max: 10_000 }).default(50),
  timestepScaling: number('by which timesteps are multiplied in the boundary scalings', { above: 0 }).default(
    10,
  ),
  sigmaData: number('standard deviation of the data in the boundary scalings', { above: 0 }).default(0.5),
  distance: z
    .preprocess(
      (given) =>
        isJsonObject(given) && given.c === undefined
          ? { ...given, c: given.kind === 'huber-sample' ? null : 0.001 }
          : given,
      group('How far two predictions are apart.', {
        kind: oneOf(
          'the pseudo-Huber norm of every element, or of whole samples; the squared or the absolute error',
          ['huber', 'huber-sample', 'l2', 'l1'],
        ).default('huber'),
        c: number('huber: where it turns from squared to linear; huber-sample: null is 0.00054 √(elements)', {
          above: 0,
        })
          .nullable()
          .default(0.001),
      }),
    )
    .refine(({ kind, c }) => kind !== 'huber' || c !== null, { path: ['c'], error: 'huber needs a number' })
    .prefault({}),
  targetEma: fraction('decay of the target network').default(0.95),
  saveDtype: oneOf('in which type weights are written', ['float32', 'float16', 'bfloat16']).default(
    'float32',
  ),
  loraFormat: oneOf(
    "a LoRA's layout: diffusers' and peft's, or that of kohya's programs",
    loraFormats,
  ).default('peft'),
  pureNoise: fraction('the share of samples that start from pure noise, as sampling does').default(0.06),
})
  .refine(
    ({ lora, stepBack, objective }) => lora === null || stepBack === 'teacher' || objective !== 'consistency',
    {
      path: ['lora'],
      error: 'a LoRA is distilled from a teacher; set stepBack to "teacher", or lora to null',
    },
  )
  .refine(({ lora, objective }) => lora === null || objective !== 'output', {
    path: ['objective'],
    error: 'a LoRA has nothing to learn from the output of its own teacher; set lora to null',
  })
  .refine(({ lora, start }) => lora === null || start === 'teacher', {
    path: ['start'],
    error: 'a LoRA is added to the weights of the teacher; set start to "teacher", or lora to null',
  })
  .refine(({ lora, student }) => lora === null || student === null, {
    path: ['student'],
    error: 'a LoRA is added to the network of the teacher; set student or lora to null',
  })
  .refine(
    ({ objective, pairs, stepBack }) =>
      pairs.kind === 'grid' || stepBack === 'data' || objective !== 'consistency',
    {
      path: ['pairs', 'kind'],
      error: 'a teacher steps along the grid; set stepBack to "data", or pairs.kind to "grid"',
    },
  )
  .refine(({ objective, pairs }) => isSingle(pairs.kind) === (objective !== 'consistency'), {
    path: ['pairs', 'kind'],
    error: 'uniform and lognormal are for the objectives diffusion and output, all others for consistency',
  });

const isSingle = (kind: string) => kind === 'uniform' || kind === 'lognormal';

/** Settings of distilling a latent consistency model, with every gap filled. */
export type DistillationRunConfig = z.output<typeof distillationSettings>;

/** Throws UsageError for settings that do not exist, are not what they have to be, or do not go together. */
export function distillationRunConfig(given: JsonObject): DistillationRunConfig {
  const preset = presetNames.find((name) => name === given.preset);
  const wanted = preset === undefined ? given : overlay(presets[preset].settings, given);
  const { objective, pairs = {} } = wanted;
  const isDenoising = objective === 'diffusion' || objective === 'output';
  const kind = isDenoising && isJsonObject(pairs) && pairs.kind === undefined ? { kind: 'uniform' } : {};
  return readSettings(distillationSettings, overlay({ pairs: kind }, wanted));
}
