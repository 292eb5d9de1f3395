/**
 * Latent consistency training from a diffusion model: distillation of a guided teacher (Luo et al. 2023, section 4),
 * into a whole student or into a LoRA (Luo et al. 2023b), or consistency training on data alone.
 */
import { openModel } from '../../components/node/open-model.ts';
import { lcmBoundary } from '../../diffusion/affine.ts';
import { noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { UsageError } from '../../errors.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { ATTENTION_TARGETS, LCM_LORA_TARGETS } from '../../layers/lora-parameters.ts';
import { unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import type { Generator } from '../../random/generator.ts';
import { randomStream } from '../data/random-stream.ts';
import type { ConsistencyDraw } from '../objectives/consistency.ts';
import { Leaves } from '../objectives/leaves.ts';
import type { TimePairs } from '../objectives/time-pairs.ts';
import { CaptionStates, captionEncoder } from './caption-states.ts';
import { distanceOf, pairsOf, solverOf } from './consistency-pairs.ts';
import { type ConsistencyNetworks, consistencyStep, denoisingStep, TARGET } from './consistency-step.ts';
import { type DistillationRunConfig, distillationRunConfig } from './distillation-config.ts';
import { withDataOf } from './earlier-run.ts';
import { withEpochs } from './epochs.ts';
import { requireLatentUNet, requireSizes, requireTokens, warnOfLongCaptions } from './fitting.ts';
import { batchShapes, latentAutoencoder, latentsBytes } from './latent-autoencoder.ts';
import { type LatentBatch, type LatentData, nearestIn, openLatentData } from './latent-data.ts';
import { openPictures, requireCaptions, sampleCaptions } from './pictures.ts';
import type { RecipeKind } from './recipe.ts';
import { openStudent } from './student.ts';
import { openTeacher, requireTeacher } from './teacher.ts';
import { type CaptionDraw, captionLeaves } from './teacher-text.ts';
import { writeStudent } from './write-student.ts';

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
    const teacher = await openTeacher(config.teacher, config.loras);
    const { objective } = config;
    const isConsistency = objective === 'consistency';
    const guided = isConsistency && config.stepBack === 'teacher';
    if (guided || !isConsistency) requireTeacher(teacher, config.teacher);
    const pictures = await openPictures(config, watch);
    requireCaptions(pictures, config.data, watch);
    const source = pictures.train;
    const vae = latentAutoencoder(teacher.vae, source);
    for (const { tokenizer, textEncoder } of teacher.texts) {
      requireTokens(tokenizer, textEncoder.config, config.teacher);
    }
    warnOfLongCaptions(teacher.texts[0]!.tokenizer, source, watch);
    const encoder = captionEncoder(teacher.texts);
    const schedule = noiseSchedule(teacher.schedule);
    const pairs = pairsOf(config, schedule, teacher.predictionType);
    const unet = unet2DConditionConfig(teacher.unet.config);
    requireLatentUNet(unet, vae, config.teacher);
    requireSizes(unet, vae, source);
    const embedded = guided && !config.lora && config.timeCondProjDim !== null;
    const student = await openStudent(config, teacher, {
      embedded,
      sampleSize: Math.floor(source.height / vae.config.factor),
    });
    const ownTarget = !isConsistency || config.lora !== null || config.target === 'student';
    const networks: ConsistencyNetworks = {
      student: student.config,
      base: { config: unet, weights: teacher.unet.weights, location: config.teacher },
      lora: config.lora && {
        ...config.lora,
        targets: config.lora.layers === 'attention' ? ATTENTION_TARGETS : LCM_LORA_TARGETS,
      },
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
      sizes: source.sizes,
      write(share, size = source.sizes[0]!) {
        const leaves = new Leaves<DistillationDraw>(share);
        const { zerosForEmptyPrompt } = teacher;
        const text = captionLeaves({ encoder, guided, zerosForEmptyPrompt, size }, leaves);
        const shape = batchShapes(vae.config, share, size).latents;
        const step = isConsistency
          ? consistencyStep(networks, text, { ...options, shape }, leaves)
          : denoisingStep(networks, objective, text, { ...options, shape }, leaves);
        return {
          objective: step.objective,
          trained: step.trained.declarations,
          counts: { [config.lora ? 'lora' : 'unet']: step.trained.count },
          frozen: step.frozen,
          async open(io) {
            const data = await openLatentData({ ...config, ...io, vae, pictures });
            opened = data;
            const { testBatch } = data;
            const states = new CaptionStates({ ...io, encoder });
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
        ...(config.lora
          ? { model: config.teacher, loras: [...config.loras, directory] }
          : { model: directory, loras: [] }),
        prompts: config.validationPrompts ?? sampleCaptions(pictures),
        nearest: nearestIn(pictures, opened),
      }),
      async start(parameters) {
        if (!config.lora) await student.start(parameters);
      },
      averages: ownTarget ? undefined : { target: { decay: config.targetEma, fedAs: TARGET } },
      writeModel: (directory, parameters) =>
        writeStudent(directory, {
          config,
          teacher,
          parameters,
          student: student.config,
          size: source,
        }),
    };
  },
};

type DistillationDraw = ConsistencyDraw & CaptionDraw;

async function draw(
  { batch, guidance: { min, max }, captionDropout }: DistillationRunConfig,
  { latents, captions }: LatentBatch,
  states: CaptionStates,
  pairs: TimePairs,
  update: number,
  random: Generator,
): Promise<DistillationDraw> {
  const noise = random.normal(elementCount(latents.shape));
  const drawn = pairs.draw(random, batch, update);
  const guidance = Array.from(random.uniform(batch), (u) => min + u * (max - min));
  const dropped = Array.from(random.uniform(batch), (u) => u < captionDropout);
  return {
    pairs: drawn,
    latents,
    guidance,
    noise: hostTensor(noise, latents.shape),
    text: await states.of(captions.map((caption, i) => (dropped[i] ? '' : caption))),
    empty: await states.of(['']),
  };
}
