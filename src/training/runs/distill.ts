/**
 * Latent consistency training from a diffusion model: distillation of a guided teacher (Luo et al. 2023, section 4),
 * into a whole student or into a LoRA (Luo et al. 2023b), or consistency training on data alone.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { ddim, lcmBoundary } from '../../diffusion/affine.ts';
import { ddpmSchedule, noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { readConfig } from '../../diffusion/samplers/config.ts';
import { skippingGrid } from '../../diffusion/skipping-grid.ts';
import { UsageError } from '../../errors.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { concat, slice } from '../../graph/operators/index.ts';
import { elementCount } from '../../graph/shape.ts';
import { normalInitializer } from '../../layers/initializers.ts';
import { clipText, clipTextConfig } from '../../models/clip-text.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import { scheduler } from '../../pipelines/scheduler.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { tokenizerFromFiles } from '../../text/train-bpe.ts';
import { formatLora } from '../../weights/lora-file.ts';
import { CONSISTENCY_METADATA } from '../../weights/lora-title.ts';
import { openDiffusersDirectory, readSchedulerConfig } from '../../weights/node/diffusers-directory.ts';
import { writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { paramsFromWeights, withPrefix } from '../../weights/source.ts';
import type { Weights } from '../../weights/weights.ts';
import type { FlatParameters } from '../flat-parameters.ts';
import { Leaves } from '../leaves.ts';
import type { ConsistencyDistance, ConsistencyDraw } from '../objectives/consistency.ts';
import { randomStream } from '../random-stream.ts';
import { gridPairs, type TimePairs } from '../time-pairs.ts';
import {
  defaultCadence,
  defaultData,
  type Partially,
  type RunConfig,
  runConfigWithDefaults,
} from './config.ts';
import {
  type ConsistencyNetworks,
  type ConsistencyText,
  consistencyStep,
  TARGET,
} from './consistency-step.ts';
import {
  captionIds,
  type LatentData,
  type LatentsConfig,
  openLatentData,
  readAutoencoder,
} from './latent-data.ts';
import { loadParameters, networkToWrite, openNetwork, storedNetworkToWrite } from './model-files.ts';
import { readTokenizerFiles, writePipeline } from './pipeline-files.ts';
import type { RecipeKind } from './recipe.ts';

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

/** `lcm distill`: writes a pipeline, or a LoRA file, with the averaged weights. */
export const consistencyTraining: RecipeKind<DistillationRunConfig> = {
  name: 'consistency',
  configure: distillationRunConfig,
  async open(config) {
    const teacher = await openTeacher(config.teacher);
    const vae = await readAutoencoder(config.teacher, config.data);
    const tokenizer = await tokenizerFromFiles(teacher.tokenizer);
    const schedule = noiseSchedule(teacher.schedule);
    const grid = skippingGrid(config.gridSize, schedule.length);
    const pairs = gridPairs(schedule, grid, { pureNoise: config.pureNoise, substeps: 1 });
    const guided = config.stepBack === 'teacher';
    const unet = unet2DConditionConfig(teacher.unet.config);
    const embedded = guided && !config.lora && config.timeCondProjDim !== null;
    const student = embedded ? { ...unet, time_cond_proj_dim: config.timeCondProjDim } : unet;
    const networks: ConsistencyNetworks = {
      student,
      base: { config: unet, weights: teacher.unet.weights, location: config.teacher },
      lora: config.lora,
      solver: guided ? { solver: ddim, substeps: 1 } : undefined,
    };
    const options = {
      predictionType: teacher.predictionType,
      boundary: lcmBoundary(config.timestepScaling, config.sigmaData),
      distance: config.distance,
    };
    return {
      write(share) {
        const leaves = new Leaves<DistillationDraw>(share);
        const text = captionStates(teacher, share, guided, leaves);
        const shape = [share, ...vae.shape];
        const step = consistencyStep(networks, text, { ...options, shape }, leaves);
        return {
          objective: step.objective,
          trained: step.trained.declarations,
          counts: { [config.lora ? 'lora' : 'unet']: step.trained.count },
          frozen: new Map([...step.frozen, ...text.frozen]),
          async open({ engine, directory }) {
            const data = await openLatentData({ ...config, vae, engine, directory });
            return {
              async batch(at) {
                const drawn = await draw(config, data, tokenizer, pairs, at);
                return {
                  inputs: leaves.inputs(drawn),
                  images: config.batch,
                  groups: drawn.pairs.map(({ group }) => group),
                };
              },
              close: () => data.close(),
            };
          },
        };
      },
      async start(parameters) {
        if (config.lora) return;
        await loadParameters(parameters, teacher.unet.weights, config.teacher, isGuidanceInput);
        const slot = parameters.slots.find(({ name }) => isGuidanceInput(name));
        if (slot && !teacher.unet.weights.has(slot.name)) {
          const values = normalInitializer(config.timeCondProjInit)(slot.shape, randomStream(config.seed, 2));
          parameters.set(slot.name, hostTensor(values, slot.shape));
        }
      },
      averages: config.lora ? undefined : { target: { decay: config.targetEma, fedAs: TARGET } },
      writeModel: (directory, model) => writeStudent(directory, config, teacher, student, model),
    };
  },
};

interface DistillationDraw extends ConsistencyDraw {
  /** Captions and the empty one, [B, L] and [1, L] int64. */
  readonly ids: HostTensor;
  readonly emptyIds: HostTensor;
}

async function draw(
  { seed, batch, guidance: { min, max } }: DistillationRunConfig,
  data: LatentData,
  tokenizer: ClipTokenizer,
  pairs: TimePairs,
  at: number,
): Promise<DistillationDraw> {
  const random = randomStream(seed, 1, at);
  const noise = random.normal(elementCount(data.shape));
  const drawn = pairs.draw(random, batch);
  const guidance = Array.from(random.uniform(batch), (u) => min + u * (max - min));
  const { latents, captions } = await data.batch(at);
  return {
    pairs: drawn,
    latents,
    noise: hostTensor(noise, data.shape),
    guidance,
    ids: captionIds(tokenizer, captions),
    emptyIds: captionIds(tokenizer, ['']),
  };
}

/** The states of a batch's captions by the teacher's text encoder and, for guidance, of the empty one. */
function captionStates(
  { textEncoder }: Teacher,
  share: number,
  guided: boolean,
  leaves: Leaves<DistillationDraw>,
): ConsistencyText & { readonly frozen: Weights } {
  const config = clipTextConfig(textEncoder.config);
  const frozen = withPrefix(textEncoder.weights, TEXT_ENCODER);
  const text = paramsFromWeights(frozen, TEXT_ENCODER);
  const length = config.max_position_embeddings;
  const ids = leaves.tensor('ids', [share, length], (drawn) => drawn.ids, 'int64');
  // With a teacher the empty caption comes last, for the unconditional half of the guidance.
  const rows = guided
    ? concat([ids, leaves.tensor('empty_ids', [1, length], (drawn) => drawn.emptyIds, 'int64')], 0)
    : ids;
  const states = clipText(config, text.params, rows).lastHiddenState;
  text.requireAll(textEncoder.path);
  return {
    states: slice(states, 0, 0, share),
    unconditionalStates: guided ? slice(states, 0, share, share + 1) : undefined,
    frozen,
  };
}

/** Prefix of the text encoder beside the student in the program. */
const TEXT_ENCODER = 'text_encoder/';

const isGuidanceInput = (name: string) => name === 'time_embedding.cond_proj.weight';

type Teacher = Awaited<ReturnType<typeof openTeacher>>;

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
  teacher: Teacher,
  student: UNet2DConditionConfig,
  model: FlatParameters,
): Promise<void> {
  const tensors = new Map(Object.entries(model.tensors()));
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
    unet: networkToWrite('unet', student, tensors),
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
