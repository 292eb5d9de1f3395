/**
 * Latent consistency training from a diffusion model: distillation of a guided teacher (Luo et al. 2023, section 4),
 * into a whole student or into a LoRA (Luo et al. 2023b), or consistency training on data alone.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { loadComponents } from '../../components/components.ts';
import { openModel } from '../../components/node/open-model.ts';
import { lcmBoundary } from '../../diffusion/affine.ts';
import { noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { UsageError } from '../../errors.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { normalInitializer } from '../../layers/initializers.ts';
import { clipTextConfig } from '../../models/clip-text.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import type { Generator } from '../../random/generator.ts';
import { formatLora } from '../../weights/lora-file.ts';
import { CONSISTENCY_METADATA } from '../../weights/lora-title.ts';
import { writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { randomStream } from '../data/random-stream.ts';
import type { ConsistencyDraw } from '../objectives/consistency.ts';
import { Leaves } from '../objectives/leaves.ts';
import type { TimePairs } from '../objectives/time-pairs.ts';
import type { FlatParameters } from '../update/flat-parameters.ts';
import { CaptionStates, captionEncoder } from './caption-states.ts';
import { distanceOf, pairsOf, solverOf } from './consistency-pairs.ts';
import {
  type ConsistencyNetworks,
  type ConsistencyText,
  consistencyStep,
  TARGET,
} from './consistency-step.ts';
import { type DistillationRunConfig, distillationRunConfig } from './distillation-config.ts';
import { withDataOf } from './earlier-run.ts';
import { withEpochs } from './epochs.ts';
import { requireLatentUNet, requireTokens, storedPrediction, warnOfLongCaptions } from './fitting.ts';
import {
  type LatentBatch,
  type LatentData,
  latentAutoencoder,
  latentsBytes,
  nearestIn,
  openLatentData,
} from './latent-data.ts';
import { loadParameters, networkOf, networkToWrite, storedNetworkToWrite } from './model-files.ts';
import { openPictures, requireCaptions, sampleCaptions } from './pictures.ts';
import { writePipeline } from './pipeline-files.ts';
import type { RecipeKind } from './recipe.ts';

/** `lcm distill`: writes a pipeline, or a LoRA file, with the averaged weights. */
export const consistencyTraining: RecipeKind<DistillationRunConfig> = {
  name: 'consistency',
  async configure(given) {
    const completed = await withDataOf(given.teacher, given);
    const config = await withEpochs(distillationRunConfig(completed));
    if (completed.data !== undefined) return config;
    await openModel(config.teacher); // whether there is such a model at all comes first
    throw new UsageError(
      `${config.teacher} does not say which pictures it was trained on; name those to distil it with in the settings, e.g. "data": {"kind": "folder", "path": "pictures", "resolution": 512}, or "data": {"kind": "postcards"}`,
    );
  },
  async open(config, watch) {
    const teacher = await openTeacher(config.teacher);
    const pictures = await openPictures(config.data, watch);
    requireCaptions(pictures, config.data, watch);
    const source = pictures.train;
    const vae = latentAutoencoder(teacher.vae, source);
    const { tokenizer } = teacher;
    requireTokens(tokenizer, clipTextConfig(teacher.textEncoder.config), config.teacher);
    warnOfLongCaptions(tokenizer, source, watch);
    const captions = captionEncoder(teacher.textEncoder, tokenizer);
    const schedule = noiseSchedule(teacher.schedule);
    const pairs = pairsOf(config, schedule);
    const guided = config.stepBack === 'teacher';
    const unet = unet2DConditionConfig(teacher.unet.config);
    requireLatentUNet(unet, vae, config.teacher);
    if (guided && unet.time_cond_proj_dim !== null) {
      throw new UsageError(
        `${config.teacher} is a latent consistency model already: its UNet takes a guidance embedding; distil the diffusion model that it came from, or train it on data alone, with "stepBack": "data"`,
      );
    }
    const embedded = guided && !config.lora && config.timeCondProjDim !== null;
    const student = {
      ...unet,
      // What is drawn where nobody asks for a size.
      sample_size: vae.shape[1],
      ...(embedded && { time_cond_proj_dim: config.timeCondProjDim }),
    };
    const ownTarget = config.lora !== null || config.target === 'student';
    const networks: ConsistencyNetworks = {
      student,
      base: { config: unet, weights: teacher.unet.weights, location: config.teacher },
      lora: config.lora,
      ownTarget,
      solver: solverOf(config, schedule),
    };
    const options = {
      predictionType: teacher.predictionType,
      boundary: lcmBoundary(config.timestepScaling, config.sigmaData),
      distance: distanceOf(config, vae.shape),
    };
    let opened: LatentData | undefined;
    return {
      data: { pictures: source.identity, captions: source.captionIdentity },
      cacheBytes: latentsBytes(vae, source, config.latents),
      write(share) {
        const leaves = new Leaves<DistillationDraw>(share);
        const states = (name: string, rows: number, of: (drawn: DistillationDraw) => HostTensor) =>
          leaves.tensor(name, [rows, ...captions.shape], of);
        const text: ConsistencyText = {
          states: states('states', share, (drawn) => drawn.states),
          unconditionalStates: guided
            ? states('unconditional_states', 1, (drawn) => drawn.unconditionalStates)
            : undefined,
        };
        const shape = [share, ...vae.shape];
        const step = consistencyStep(networks, text, { ...options, shape }, leaves);
        return {
          objective: step.objective,
          trained: step.trained.declarations,
          counts: { [config.lora ? 'lora' : 'unet']: step.trained.count },
          frozen: step.frozen,
          async open(io) {
            const data = await openLatentData({ ...config, ...io, vae, pictures });
            opened = data;
            const { testBatch } = data;
            const states = new CaptionStates({ ...io, encoder: captions });
            const batchOf = async (update: number, batch: LatentBatch, random: Generator) => {
              const drawn = await draw(config, batch, states, pairs, update, random);
              return {
                inputs: leaves.inputs(drawn),
                images: config.batch,
                groups: drawn.pairs.map(({ group }) => group),
              };
            };
            return {
              async batch(at) {
                const update = Math.floor(at / config.accumulate);
                return batchOf(update, await data.batch(at), randomStream(config.seed, 1, at));
              },
              validation: pictures.test &&
                testBatch && {
                  pictures: pictures.test.size,
                  // Times are those of the end of the training, so that all losses are of the same task.
                  batch: async (at) =>
                    batchOf(config.steps - 1, await testBatch(at), randomStream(config.seed, 6, at)),
                },
              async close() {
                await data.close();
                await states.close();
              },
            };
          },
        };
      },
      sheet: (directory) => ({
        kind: 'drawn',
        // A LoRA draws together with its teacher.
        ...(config.lora ? { model: config.teacher, loras: [directory] } : { model: directory, loras: [] }),
        prompts: config.validationPrompts ?? sampleCaptions(pictures),
        nearest: nearestIn(pictures, opened),
      }),
      async start(parameters) {
        if (config.lora || config.start === 'random') return;
        await loadParameters(parameters, teacher.unet.weights, config.teacher, isGuidanceInput);
        const slot = parameters.slots.find(({ name }) => isGuidanceInput(name));
        if (slot && !teacher.unet.weights.has(slot.name)) {
          const values = normalInitializer(config.timeCondProjInit)(slot.shape, randomStream(config.seed, 2));
          parameters.set(slot.name, hostTensor(values, slot.shape));
        }
      },
      averages: ownTarget ? undefined : { target: { decay: config.targetEma, fedAs: TARGET } },
      writeModel: (directory, model) => writeStudent(directory, config, teacher, student, model),
    };
  },
};

interface DistillationDraw extends ConsistencyDraw {
  /** Of the captions and of the empty one, [B, L, D] and [1, L, D]. */
  readonly states: HostTensor;
  readonly unconditionalStates: HostTensor;
}

async function draw(
  { batch, guidance: { min, max } }: DistillationRunConfig,
  { latents, captions }: LatentBatch,
  states: CaptionStates,
  pairs: TimePairs,
  update: number,
  random: Generator,
): Promise<DistillationDraw> {
  const noise = random.normal(elementCount(latents.shape));
  const drawn = pairs.draw(random, batch, update);
  const guidance = Array.from(random.uniform(batch), (u) => min + u * (max - min));
  return {
    pairs: drawn,
    latents,
    noise: hostTensor(noise, latents.shape),
    guidance,
    states: await states.of(captions),
    unconditionalStates: await states.of(['']),
  };
}

const isGuidanceInput = (name: string) => name === 'time_embedding.cond_proj.weight';

type Teacher = Awaited<ReturnType<typeof openTeacher>>;

/** All parts of the teacher, whatever kind of file it comes from. */
async function openTeacher(name: string) {
  const model = await openModel(name);
  const components = await loadComponents(model);
  return {
    model,
    unet: await networkOf(model, 'unet'),
    textEncoder: await networkOf(model, 'text_encoder'),
    vae: { ...(await networkOf(model, 'vae')), className: components.vae.config.className },
    tokenizer: components.tokenizer,
    ...storedPrediction(components),
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
    const file = formatLora(tensors, config.lora);
    await mkdir(directory, { recursive: true });
    const metadata = { ...file.metadata, ...CONSISTENCY_METADATA };
    await writeSafetensors(join(directory, 'pytorch_lora_weights.safetensors'), file.tensors, metadata);
    return;
  }
  const scale = 1 + (config.guidance.min + config.guidance.max) / 2;
  await writePipeline(directory, {
    kind: 'LatentConsistencyModelPipeline',
    vae: await storedNetworkToWrite(teacher.vae.className, teacher.vae),
    unet: networkToWrite('unet', student, tensors),
    textEncoder: await storedNetworkToWrite('CLIPTextModel', teacher.textEncoder),
    tokenizer: await teacher.model.copies('tokenizer'),
    schedule: teacher.schedule,
    scheduler: {
      prediction_type: teacher.predictionType,
      original_inference_steps: config.gridSize,
      timestep_scaling: config.timestepScaling,
    },
    // Without an embedding of it, a guidance scale would be classifier-free guidance on top of the teacher's.
    defaults: { steps: 4, guidance_scale: student.time_cond_proj_dim === null ? 1 : scale },
  });
}
