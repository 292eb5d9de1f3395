/**
 * Latent consistency training from a diffusion model: distillation of a guided teacher (Luo et al. 2023, section 4),
 * into a whole student or into a LoRA (Luo et al. 2023b), or consistency training on data alone.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { guidanceScaleEmbedding } from '../../diffusion/guidance-embedding.ts';
import { ddpmSchedule, noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { readConfig } from '../../diffusion/samplers/config.ts';
import { skippingGrid } from '../../diffusion/skipping-grid.ts';
import { UsageError } from '../../errors.ts';
import { countFlops } from '../../graph/flops.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { concat, slice } from '../../graph/operators/index.ts';
import { elementCount } from '../../graph/shape.ts';
import { input } from '../../graph/tensor.ts';
import { normalInitializer } from '../../layers/initializers.ts';
import { DeclaredParams, type Params } from '../../layers/params.ts';
import { clipText, clipTextConfig } from '../../models/clip-text.ts';
import { unet2DCondition } from '../../models/unet-2d-condition.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { scheduler } from '../../pipelines/scheduler.ts';
import { tokenizerFromFiles } from '../../text/train-bpe.ts';
import { formatLora } from '../../weights/lora-file.ts';
import { CONSISTENCY_METADATA } from '../../weights/lora-title.ts';
import { openDiffusersDirectory, readSchedulerConfig } from '../../weights/node/diffusers-directory.ts';
import { writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { paramsFromWeights, withPrefix } from '../../weights/source.ts';
import type { Weights } from '../../weights/weights.ts';
import { consistencyInputs, gridCoefficients, perSampleValues } from '../consistency-batch.ts';
import { shareOf } from '../data-parallel.ts';
import { Ema } from '../ema.ts';
import { initialize } from '../flat-parameters.ts';
import { loraParams } from '../lora-parameters.ts';
import { trainingProgram } from '../objective.ts';
import { type ConsistencyDistance, consistencyLoss } from '../objectives/consistency-distillation.ts';
import type { Denoiser } from '../objectives/diffusion.ts';
import { randomStream } from '../random-stream.ts';
import type { Batch } from '../trainer.ts';
import {
  defaultCadence,
  defaultData,
  type Partially,
  type RunConfig,
  runConfigWithDefaults,
} from './config.ts';
import { captionIds, type LatentsConfig, openLatentData, readAutoencoder } from './latent-data.ts';
import { loadParameters, networkToWrite, openNetwork, storedNetworkToWrite } from './model-files.ts';
import { readTokenizerFiles, writePipeline } from './pipeline-files.ts';
import { inRunDirectory, type RunIO, type RunPlan, type RunResult, replicasOf, runSteps } from './run.ts';

export interface DistillationRunConfig extends RunConfig {
  /** A diffusers folder: the teacher, the start of the student, and all that is not trained. */
  readonly teacher: string;
  readonly latents: LatentsConfig;
  /** `teacher`: one guided DDIM step. `data`: the same noise at the earlier time, without any teacher. */
  readonly stepBack: 'teacher' | 'data';
  /** Trains low-rank additions, with the student as its own target, in place of all weights. */
  readonly lora: { readonly rank: number; readonly alpha: number } | null;
  /** Range of w = guidance scale − 1, drawn for every sample. */
  readonly guidance: { readonly min: number; readonly max: number };
  /** Width of the student's guidance embedding; null for none (always none with `lora` or without a teacher). */
  readonly timeCondProjDim: number | null;
  /** Standard deviation of the initial weights that take the guidance embedding in. */
  readonly timeCondProjInit: number;
  /** Intervals of the grid of timesteps. */
  readonly gridSize: number;
  readonly timestepScaling: number;
  readonly sigmaData: number;
  readonly distance: ConsistencyDistance;
  /** Decay of the target network. */
  readonly targetEma: number;
  /** The fraction of samples that start from pure noise at the end of the grid, where sampling starts. */
  readonly pureNoise: number;
}

/** Settings for postcards: 50,000 pictures bring 4 steps within 2 points of the teacher's 100 passes. */
export const distillationDefaults: DistillationRunConfig = {
  data: defaultData,
  steps: 1680,
  batch: 32,
  seed: 0,
  optimizer: {
    learningRate: 3e-4,
    schedule: { kind: 'cosine', warmupSteps: 50, constantUntil: 0.4, finalFactor: 0.05 },
    betas: [0.9, 0.99],
    epsilon: 1e-8,
    weightDecay: 0,
    maxGradientNorm: 1,
  },
  ema: 0.995,
  cadence: defaultCadence,
  teacher: '',
  latents: { pictures: 100_000, file: null },
  stepBack: 'teacher',
  lora: null,
  guidance: { min: 0.5, max: 3 },
  timeCondProjDim: 256,
  timeCondProjInit: 0.01,
  gridSize: 50,
  timestepScaling: 10,
  sigmaData: 0.5,
  distance: { kind: 'huber', c: 0.001 },
  targetEma: 0.95,
  pureNoise: 0.06,
};

export function distillationRunConfig(given: Partially<DistillationRunConfig> = {}): DistillationRunConfig {
  const config = runConfigWithDefaults<DistillationRunConfig>(distillationDefaults, given);
  const { min, max } = config.guidance;
  if (!(min <= max))
    throw new UsageError(`guidance: min is ${min}, max ${max}; min may not be the larger one`);
  if (config.lora && config.stepBack === 'data') {
    throw new UsageError('a LoRA is distilled from a teacher: set stepBack to "teacher", or lora to null');
  }
  return config;
}

/** What a run with these settings would compute. */
export async function planDistillation(config: DistillationRunConfig): Promise<RunPlan> {
  return (await prepare(config)).plan;
}

/** Distils, or goes on, and writes a pipeline (or a LoRA file) with the averaged weights to `<directory>/model`. */
export async function distill(config: DistillationRunConfig, io: RunIO): Promise<RunResult> {
  const prepared = await prepare(config, replicasOf(io).length);
  return inRunDirectory(config, io, () => run(config, io, prepared));
}

type Prepared = Awaited<ReturnType<typeof prepare>>;

async function run(config: DistillationRunConfig, io: RunIO, prepared: Prepared): Promise<RunResult> {
  const { directory, engine } = io;
  const { plan, teacher, trained, embeddingWidth, schedule } = prepared;
  const tokenizer = await tokenizerFromFiles(teacher.tokenizer);
  const grid = skippingGrid(config.gridSize, schedule.length);

  const parameters = initialize(trained.declarations, randomStream(config.seed, 0));
  if (!config.lora) {
    await loadParameters(parameters, teacher.unet.weights, config.teacher, isGuidanceInput);
    const slot = parameters.slots.find(({ name }) => isGuidanceInput(name));
    if (slot && !teacher.unet.weights.has(slot.name)) {
      const start = normalInitializer(config.timeCondProjInit)(slot.shape, randomStream(config.seed, 2));
      parameters.set(slot.name, hostTensor(start, slot.shape));
    }
  }
  const average = new Ema(parameters, config.ema, { warmup: true });
  const target = config.lora ? undefined : new Ema(parameters, config.targetEma);

  const data = await openLatentData({ ...config, vae: config.teacher, engine, directory });
  const batch = async (at: number): Promise<Batch> => {
    const random = randomStream(config.seed, 1, at);
    const noise = random.normal(elementCount(data.shape));
    const drawn = random.randint(grid.size, config.batch);
    const pureNoise = Array.from(random.uniform(config.batch), (u) => u < config.pureNoise);
    const indices = Array.from(drawn, (index, i) => (pureNoise[i] ? grid.size - 1 : index));
    const { min, max } = config.guidance;
    const w = Array.from(random.uniform(config.batch), (u) => min + u * (max - min));
    const { latents, captions } = await data.batch(at);
    return {
      inputs: {
        ...gridCoefficients(schedule, grid, indices, config, pureNoise),
        latents,
        noise: hostTensor(noise, data.shape),
        ids: captionIds(tokenizer, captions),
        ...(config.stepBack === 'teacher' && {
          empty_ids: captionIds(tokenizer, ['']),
          guidance: perSampleValues(w),
        }),
        ...(embeddingWidth !== undefined && {
          guidance_embedding: hostTensor(guidanceScaleEmbedding(w, embeddingWidth), [
            w.length,
            embeddingWidth,
          ]),
        }),
      },
      images: config.batch,
      groups: indices.map((index) => `fifth_${1 + Math.floor((5 * index) / grid.size)}`),
    };
  };

  try {
    return await runSteps(config, io, {
      name: 'consistency',
      plan,
      step: prepared.step,
      weights: prepared.bound,
      parameters,
      averages: { ema: average, ...(target && { target }) },
      feeds: target?.parameters.tensors(TARGET),
      batch,
      writeModel: (modelDirectory) => writeStudent(modelDirectory, config, prepared, average),
    });
  } finally {
    await data.close();
  }
}

/** Prefixes of the networks beside the student in the program. */
const TEACHER = 'teacher/';
const TEXT_ENCODER = 'text_encoder/';
const TARGET = 'target/';

const isGuidanceInput = (name: string) => name === 'time_embedding.cond_proj.weight';

/** The step is written for the share of the batch that each of the replicas takes. */
async function prepare(config: DistillationRunConfig, replicas = 1) {
  const teacher = await openTeacher(config.teacher);
  const { lora } = config;
  const batch = shareOf(config.batch, replicas);
  const { shape } = await readAutoencoder(config.teacher, config.data, batch);
  const guided = config.stepBack === 'teacher';
  const textConfig = clipTextConfig(teacher.textEncoder.config);
  const teacherConfig = unet2DConditionConfig(teacher.unet.config);
  const embeddingWidth =
    guided && !lora && config.timeCondProjDim !== null ? config.timeCondProjDim : undefined;
  const studentConfig: UNet2DConditionConfig = {
    ...teacherConfig,
    time_cond_proj_dim: embeddingWidth ?? teacherConfig.time_cond_proj_dim,
  };
  const network =
    (unetConfig: UNet2DConditionConfig, params: Params): Denoiser =>
    (sample, timestep, encoderHiddenStates, timestepCond) =>
      unet2DCondition(unetConfig, params, { sample, timestep, encoderHiddenStates, timestepCond });

  // Frozen networks are bound when the program is compiled.
  const teacherWeights = withPrefix(teacher.unet.weights, TEACHER);
  const textWeights = withPrefix(teacher.textEncoder.weights, TEXT_ENCODER);
  const frozen = paramsFromWeights(teacherWeights, TEACHER);
  const text = paramsFromWeights(textWeights, TEXT_ENCODER);
  const bound: Weights = new Map([...(guided ? teacherWeights : []), ...textWeights]);

  const trained = new DeclaredParams();
  const targetParams = new DeclaredParams(TARGET);
  const student = network(
    studentConfig,
    lora ? loraParams(trained.params, frozen.params, lora).params : trained.params,
  );
  const inputs = consistencyInputs(shape, embeddingWidth);
  const length = textConfig.max_position_embeddings;
  const ids = input('ids', [batch, length], 'int64');
  // With a teacher the empty caption comes last, for the unconditional half of the guidance.
  const rows = guided ? concat([ids, input('empty_ids', [1, length], 'int64')], 0) : ids;
  const states = clipText(textConfig, text.params, rows).lastHiddenState;
  const objective = consistencyLoss(
    {
      student,
      target: lora ? student : network(studentConfig, targetParams.params),
      ...(guided && {
        teacher: {
          model: network(teacherConfig, frozen.params),
          unconditionalStates: slice(states, 0, batch, batch + 1),
          guidance: inputs.guidance,
        },
      }),
      predictionType: teacher.predictionType,
    },
    { ...inputs.batch, states: slice(states, 0, 0, batch) },
    config.distance,
  );
  frozen.requireAll(config.teacher);
  text.requireAll(config.teacher);
  const step = trainingProgram(objective, trained.declarations);
  const flopsPerStep = replicas * countFlops(step);
  const plan: RunPlan = {
    config,
    parameters: { [lora ? 'lora' : 'unet']: trained.count },
    flopsPerStep,
    flopsPerPicture: flopsPerStep / config.batch,
  };
  const schedule = noiseSchedule(teacher.schedule);
  return { plan, step, bound, teacher, trained, studentConfig, embeddingWidth, schedule };
}

/** All parts of the teacher's folder. Throws UsageError for a teacher whose predictions cannot be distilled. */
async function openTeacher(directory: string) {
  const unet = await openNetwork(directory, 'unet', 'teacher');
  const index = await openDiffusersDirectory(directory);
  const { config, predictionType } = scheduler(
    index.components.get('scheduler')?.className ?? '',
    await readSchedulerConfig(index),
  );
  if (predictionType === 'sample') {
    throw new UsageError(`${directory} predicts samples; distillation takes epsilon and v_prediction`);
  }
  return {
    unet,
    textEncoder: await openNetwork(directory, 'text_encoder', 'teacher'),
    vae: await openNetwork(directory, 'vae', 'teacher'),
    tokenizer: await readTokenizerFiles(directory),
    schedule: readConfig('distillation', config, { defaults: ddpmSchedule }),
    predictionType,
  };
}

async function writeStudent(
  directory: string,
  config: DistillationRunConfig,
  { teacher, studentConfig }: Prepared,
  average: Ema,
): Promise<void> {
  const tensors = new Map(Object.entries(average.parameters.tensors()));
  if (config.lora) {
    const file = formatLora(tensors, config.lora, 'peft');
    await mkdir(directory, { recursive: true });
    const metadata = { ...file.metadata, ...CONSISTENCY_METADATA };
    await writeSafetensors(join(directory, 'pytorch_lora_weights.safetensors'), file.tensors, metadata);
    return;
  }
  const scale = 1 + (config.guidance.min + config.guidance.max) / 2;
  await writePipeline(directory, {
    kind: 'LatentConsistencyModelPipeline',
    vae: await storedNetworkToWrite('vae', teacher.vae),
    unet: networkToWrite('unet', studentConfig, tensors),
    textEncoder: await storedNetworkToWrite('text_encoder', teacher.textEncoder),
    tokenizer: teacher.tokenizer,
    schedule: teacher.schedule,
    scheduler: {
      prediction_type: teacher.predictionType,
      original_inference_steps: config.gridSize,
      timestep_scaling: config.timestepScaling,
    },
    defaults: { steps: 4, guidance_scale: config.stepBack === 'teacher' ? scale : 1 },
  });
}
