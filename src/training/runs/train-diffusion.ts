/** Training a latent diffusion model from captioned pictures: UNet and text encoder together. */
import {
  type NoiseScheduleConfig,
  noiseSchedule,
  stableDiffusionSchedule,
} from '../../diffusion/noise-schedule.ts';
import { countFlops } from '../../graph/flops.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { input } from '../../graph/tensor.ts';
import { type Declaration, DeclaredParams } from '../../layers/params.ts';
import { type CLIPTextConfig, clipText, clipTextConfig } from '../../models/clip-text.ts';
import { postcards } from '../../models/presets.ts';
import { unet2DCondition } from '../../models/unet-2d-condition.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { tokenizerFromFiles, trainTokenizer } from '../../text/train-bpe.ts';
import { withPrefix } from '../../weights/source.ts';
import { perSampleValues, perSampleVector } from '../consistency-batch.ts';
import { shareOf } from '../data-parallel.ts';
import { Ema } from '../ema.ts';
import { initialize } from '../flat-parameters.ts';
import { trainingProgram } from '../objective.ts';
import { diffusionLoss, type PredictionType } from '../objectives/diffusion.ts';
import { randomStream } from '../random-stream.ts';
import { sampleTimesteps, type TimestepSampling } from '../timestep-sampling.ts';
import type { Batch } from '../trainer.ts';
import {
  defaultCadence,
  defaultData,
  type Partially,
  type RunConfig,
  runConfigWithDefaults,
  trainingPictures,
} from './config.ts';
import { captionIds, type LatentsConfig, openLatentData, readAutoencoder } from './latent-data.ts';
import {
  loadParameters,
  networkToWrite,
  openNetwork,
  storedNetworkToWrite,
  withoutPrefix,
} from './model-files.ts';
import { readTokenizerFiles, writePipeline } from './pipeline-files.ts';
import { inRunDirectory, type RunIO, type RunPlan, type RunResult, replicasOf, runSteps } from './run.ts';

export interface DiffusionRunConfig extends RunConfig {
  /** A diffusers folder whose `vae` makes the latents. */
  readonly vae: string;
  readonly latents: LatentsConfig;
  /** A diffusers folder whose UNet, text encoder and tokenizer the training goes on with; null starts afresh. */
  readonly initial: string | null;
  readonly unet: UNet2DConditionConfig;
  /** `vocab_size` follows from the tokenizer. */
  readonly textEncoder: CLIPTextConfig;
  /** Tokens at most; 514 of them are bytes and special tokens. */
  readonly vocabularySize: number;
  readonly predictionType: PredictionType;
  readonly schedule: NoiseScheduleConfig;
  readonly timesteps: TimestepSampling;
  /** The fraction of captions that are replaced by the empty one, for classifier-free guidance. */
  readonly captionDropout: number;
}

/** Settings for postcards. Two hours of them on two cores are about 1 million pictures. */
export const diffusionDefaults: DiffusionRunConfig = {
  data: defaultData,
  steps: 10_000,
  batch: 32,
  seed: 0,
  optimizer: {
    learningRate: 1e-3,
    schedule: { kind: 'cosine', warmupSteps: 150, constantUntil: 0.3, finalFactor: 0.03 },
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 0.01,
    maxGradientNorm: 1,
  },
  ema: 0.998,
  cadence: defaultCadence,
  vae: '',
  latents: { pictures: 100_000, file: null },
  initial: null,
  unet: postcards.unet.config,
  textEncoder: postcards.textEncoder.config,
  vocabularySize: 1000,
  predictionType: 'v_prediction',
  schedule: stableDiffusionSchedule,
  timesteps: { tilt: 0, from: 600, to: 999, importanceWeights: false, pureNoise: 0.03 },
  captionDropout: 0.1,
};

export function diffusionRunConfig(given: Partially<DiffusionRunConfig> = {}): DiffusionRunConfig {
  return runConfigWithDefaults<DiffusionRunConfig>(diffusionDefaults, given);
}

/** What a run with these settings would compute. */
export async function planDiffusion(config: DiffusionRunConfig): Promise<RunPlan> {
  return (await prepare(config)).plan;
}

/** Trains, or goes on training, and writes a diffusers folder with the averaged weights to `<directory>/model`. */
export async function trainDiffusion(config: DiffusionRunConfig, io: RunIO): Promise<RunResult> {
  const prepared = await prepare(config, replicasOf(io).length);
  return inRunDirectory(config, io, () => run(config, io, prepared));
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

async function run(config: DiffusionRunConfig, io: RunIO, prepared: Prepared): Promise<RunResult> {
  const { directory, engine } = io;
  const { plan, trained, step, tokenizerFiles, initial } = prepared;
  const tokenizer = await tokenizerFromFiles(tokenizerFiles);
  const schedule = noiseSchedule(config.schedule);
  const parameters = initialize(trained, randomStream(config.seed, 0));
  if (initial) await loadParameters(parameters, initial, config.initial ?? '');
  const average = new Ema(parameters, config.ema, { warmup: true });

  const writeModel = async (modelDirectory: string) => {
    const tensors = average.parameters.tensors();
    await writePipeline(modelDirectory, {
      kind: 'StableDiffusionPipeline',
      vae: await storedNetworkToWrite('vae', prepared.vae),
      unet: networkToWrite('unet', prepared.unetConfig, withoutPrefix(tensors, UNET)),
      textEncoder: networkToWrite('text_encoder', prepared.textEncoder, withoutPrefix(tensors, TEXT_ENCODER)),
      tokenizer: tokenizerFiles,
      schedule: config.schedule,
      scheduler: { prediction_type: config.predictionType },
      defaults: { steps: 50, guidance_scale: 3 },
    });
  };

  const data = await openLatentData({ ...config, engine, directory });
  const batch = async (at: number): Promise<Batch> => {
    const random = randomStream(config.seed, 1, at);
    const noise = random.normal(elementCount(data.shape));
    const samples = sampleTimesteps(random, config.batch, schedule.length, config.timesteps);
    const dropped = Array.from(random.uniform(config.batch), (u) => u < config.captionDropout);
    const { latents, captions } = await data.batch(at);
    return {
      inputs: {
        latents,
        noise: hostTensor(noise, data.shape),
        timesteps: perSampleVector(samples.map(({ t }) => t)),
        alpha: perSampleValues(samples.map(({ t, pureNoise }) => (pureNoise ? 0 : schedule.alphas[t]!))),
        sigma: perSampleValues(samples.map(({ t, pureNoise }) => (pureNoise ? 1 : schedule.sigmas[t]!))),
        weights: perSampleVector(samples.map(({ weight }) => weight)),
        ids: captionIds(tokenizer, captions, dropped),
      },
      images: config.batch,
      groups: samples.map(({ t }) => `quarter_${1 + Math.floor((4 * t) / schedule.length)}`),
    };
  };
  try {
    const averages = { ema: average };
    return await runSteps(config, io, {
      name: 'diffusion',
      plan,
      step,
      parameters,
      averages,
      batch,
      writeModel,
    });
  } finally {
    await data.close();
  }
}

/** Prefixes of the two networks' parameters in the program and in checkpoints. */
const UNET = 'unet/';
const TEXT_ENCODER = 'text_encoder/';

/** The step is written for the share of the batch that each of the replicas takes. */
async function prepare(config: DiffusionRunConfig, replicas = 1) {
  const batch = shareOf(config.batch, replicas);
  const { stored: vae, shape } = await readAutoencoder(config.vae, config.data, batch);
  const { tokenizerFiles, unetConfig, textEncoder, initial } = await networks(config);
  const length = textEncoder.max_position_embeddings;

  const unet = new DeclaredParams(UNET);
  const text = new DeclaredParams(TEXT_ENCODER);
  const ids = input('ids', [batch, length], 'int64');
  const objective = diffusionLoss(
    (sample, timestep, encoderHiddenStates) =>
      unet2DCondition(unetConfig, unet.params, { sample, timestep, encoderHiddenStates }),
    config.predictionType,
    {
      latents: input('latents', shape),
      noise: input('noise', shape),
      timesteps: input('timesteps', [batch]),
      alpha: input('alpha', [batch, 1, 1, 1]),
      sigma: input('sigma', [batch, 1, 1, 1]),
      weights: input('weights', [batch]),
      states: clipText(textEncoder, text.params, ids).lastHiddenState,
    },
  );
  const trained = new Map<string, Declaration>([
    ...[...unet.declarations].map(([name, declaration]) => [`${UNET}${name}`, declaration] as const),
    ...[...text.declarations].map(([name, declaration]) => [`${TEXT_ENCODER}${name}`, declaration] as const),
  ]);
  const step = trainingProgram(objective, trained);
  const flopsPerStep = replicas * countFlops(step);
  const plan: RunPlan = {
    config,
    parameters: { unet: unet.count, text_encoder: text.count },
    flopsPerStep,
    flopsPerPicture: flopsPerStep / config.batch,
  };
  return { plan, trained, step, tokenizerFiles, unetConfig, textEncoder, vae, initial };
}

/** What the networks are, and the weights that they start from: those of `initial`, or fresh ones. */
async function networks(config: DiffusionRunConfig) {
  if (config.initial !== null) {
    const unet = await openNetwork(config.initial, 'unet', 'initial');
    const text = await openNetwork(config.initial, 'text_encoder', 'initial');
    return {
      tokenizerFiles: await readTokenizerFiles(config.initial),
      unetConfig: unet2DConditionConfig(unet.config),
      textEncoder: clipTextConfig(text.config),
      initial: new Map([...withPrefix(unet.weights, UNET), ...withPrefix(text.weights, TEXT_ENCODER)]),
    };
  }
  const source = trainingPictures(config.data);
  const captions = Array.from({ length: Math.min(20_000, source.size) }, (_, i) => source.caption(i));
  const length = config.textEncoder.max_position_embeddings;
  const tokenizerFiles = trainTokenizer(captions, config.vocabularySize, length);
  const { vocabularySize } = await tokenizerFromFiles(tokenizerFiles);
  const textEncoder = { ...config.textEncoder, vocab_size: vocabularySize };
  return { tokenizerFiles, unetConfig: config.unet, textEncoder, initial: undefined };
}
