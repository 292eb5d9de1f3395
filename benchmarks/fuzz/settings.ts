/** Settings files of trainings, as `--config` names them: read, checked, and planned as `--dry-run` does. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JsonObject } from '../../src/files/json.ts';
import { readJsonObject } from '../../src/files/node/text-file.ts';
import type { RunConfig } from '../../src/training/runs/config.ts';
import { consistencyTraining } from '../../src/training/runs/distill.ts';
import { plan, type RecipeKind } from '../../src/training/runs/recipe.ts';
import { autoencoderTraining } from '../../src/training/runs/train-autoencoder.ts';
import { diffusionTraining } from '../../src/training/runs/train-diffusion.ts';
import { judgeTraining } from '../../src/training/runs/train-judge.ts';
import { damagedJsonText, jsonText } from './damage.ts';
import { FIXTURES, type Kind, type Reading } from './kind.ts';

const MODEL = join(FIXTURES, 'golden', 'pipelines', 'sd', 'model');

const RUN: JsonObject = {
  steps: 10,
  batch: 2,
  seed: 3,
  ema: 0.9,
  data: { kind: 'postcards', seed: 1, size: 64, positionProbability: 0.5 },
  optimizer: {
    learningRate: 1e-3,
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 0,
    maxGradientNorm: 1,
    schedule: { kind: 'cosine', warmupSteps: 1, constantUntil: 0.4, finalFactor: 0.1 },
  },
  cadence: { logEvery: 1, checkpointEverySteps: 5, checkpointEveryMinutes: 5, sampleEvery: 0 },
};

interface Training {
  readonly given: JsonObject;
  readonly planned: (given: JsonObject) => Promise<unknown>;
}

function training<Config extends RunConfig>(kind: RecipeKind<Config>, own: JsonObject): Training {
  return {
    given: { ...RUN, ...own },
    planned: async (given) => {
      const config = await kind.configure(given);
      // What is large and may be is planned too, but counts everything that it would compute.
      if (config.batch <= 64) await plan(kind, config);
    },
  };
}

const TRAININGS: readonly Training[] = [
  training(autoencoderTraining, {
    model: {
      block_out_channels: [32, 32],
      layers_per_block: 1,
      latent_channels: 4,
      norm_num_groups: 8,
      down_block_types: ['DownEncoderBlock2D', 'DownEncoderBlock2D'],
      scaling_factor: 0.5,
      sample_size: 64,
      up_block_types: ['UpDecoderBlock2D', 'UpDecoderBlock2D'],
    },
  }),
  training(diffusionTraining, {
    vae: MODEL,
    initial: MODEL,
    latents: { pictures: 10, file: null },
    vocabularySize: 600,
    predictionType: 'epsilon',
    captionDropout: 0.1,
    schedule: {
      num_train_timesteps: 1000,
      beta_start: 0.001,
      beta_end: 0.01,
      beta_schedule: 'scaled_linear',
    },
    timesteps: { tilt: 0.1, from: 600, to: 999, importanceWeights: true, pureNoise: 0.1 },
  }),
  training(consistencyTraining, {
    teacher: MODEL,
    latents: { pictures: 10, file: null },
    stepBack: 'teacher',
    targetEma: 0.95,
    guidance: { min: 1, max: 3 },
    timeCondProjDim: 32,
    gridSize: 20,
    sigmaData: 0.5,
    timestepScaling: 10,
    distance: { kind: 'huber', c: 0.001 },
    pureNoise: 0.1,
    lora: { rank: 2, alpha: 2 },
  }),
  training(judgeTraining, {}),
];

export const settings: Kind = {
  name: 'settings of training',
  async make(random, folder) {
    const { given, planned } = random.pick(TRAININGS);
    const path = join(folder, 'settings.json');
    const text = jsonText(given);
    await writeFile(path, random.chance(0.03) ? text : damagedJsonText(text, random));
    return {
      // A setting that cannot be is called by its name, and what lies at a path that a setting has, by that.
      names: [path, 'setting', 'data', MODEL, 'model ', 'VAE ', 'there is no such', 'lcm pull'],
      async use(): Promise<Reading> {
        await planned(await readJsonObject(path));
        return 'read';
      },
    };
  },
};
