/** Training a latent diffusion model from captioned pictures: UNet and text encoder together. */
import { loadComponents } from '../../components/components.ts';
import { openAutoencoder, openModel } from '../../components/node/open-model.ts';
import { type NoiseSchedule, noiseSchedule } from '../../diffusion/noise-schedule.ts';
import { type HostTensor, hostTensor } from '../../graph/host-tensor.ts';
import { elementCount } from '../../graph/shape.ts';
import { type Declaration, DeclaredParams } from '../../layers/params.ts';
import { clipText } from '../../models/clip-text.ts';
import { unet2DCondition } from '../../models/unet-2d-condition.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../../models/unet-2d-condition-config.ts';
import type { Generator } from '../../random/generator.ts';
import type { ClipTokenizer } from '../../text/clip-tokenizer.ts';
import { withPrefix } from '../../weights/source.ts';
import type { PictureSource } from '../data/picture-source.ts';
import { randomStream } from '../data/random-stream.ts';
import { diffusionLoss } from '../objectives/diffusion.ts';
import { Leaves } from '../objectives/leaves.ts';
import { type SampledTimestep, sampleTimesteps } from '../objectives/timestep-sampling.ts';
import { type DiffusionRunConfig, diffusionRunConfig } from './diffusion-config.ts';
import { withDataOf } from './earlier-run.ts';
import { withEpochs } from './epochs.ts';
import {
  requireLatentUNet,
  requireOneText,
  requireSizes,
  requireTokens,
  requireWidth,
  storedPrediction,
  warnOfLongCaptions,
} from './fitting.ts';
import { batchShapes, latentAutoencoder, latentsBytes } from './latent-autoencoder.ts';
import { captionIds, type LatentBatch, type LatentData, nearestIn, openLatentData } from './latent-data.ts';
import {
  loadParameters,
  networkOf,
  networkToWrite,
  storedNetworkToWrite,
  withoutPrefix,
} from './model-files.ts';
import { openPictures, requireCaptions, sampleCaptions } from './pictures.ts';
import { writePipeline } from './pipeline-files.ts';
import type { RecipeKind } from './recipe.ts';
import { freshText, storedText } from './text-start.ts';

/** `lcm train diffusion`: writes a diffusers folder with the averaged weights. */
export const diffusionTraining: RecipeKind<DiffusionRunConfig> = {
  name: 'diffusion',
  async configure(given) {
    const completed = await withDataOf(given.vae, given);
    // A model that is trained on goes on to predict what it predicts, under its own noise.
    const stored =
      typeof given.initial === 'string'
        ? storedPrediction(await loadComponents(await openModel(given.initial)))
        : {};
    return withEpochs(diffusionRunConfig({ ...stored, ...completed }));
  },
  async open(config, watch) {
    const pictures = await openPictures(config, watch);
    requireCaptions(pictures, config.data, watch);
    const source = pictures.train;
    const vae = latentAutoencoder(await openAutoencoder(config.vae), source);
    const { text: startText, unetConfig, weights, isFresh } = await networks(config, source);
    const { tokenizer, tokenizerFiles, config: textEncoder } = startText;
    const ofText = config.initialText ?? config.initial ?? 'the settings';
    requireOneText(unetConfig, config.initial ?? 'the settings');
    requireLatentUNet(unetConfig, vae, config.initial ?? 'the settings');
    requireSizes(unetConfig, vae, source);
    requireTokens(tokenizer, textEncoder, ofText);
    requireWidth(unetConfig, textEncoder, ofText);
    warnOfLongCaptions(tokenizer, source, watch);
    const schedule = noiseSchedule(config.schedule);
    let opened: LatentData | undefined;
    return {
      data: { pictures: source.identity, captions: source.captionIdentity },
      cacheBytes: latentsBytes(vae, source, config.latents),
      sizes: source.sizes,
      write(share, size = source.sizes[0]!) {
        const shape = batchShapes(vae.config, share, size).latents;
        const leaves = new Leaves<DiffusionDraw>(share);
        const unet = new DeclaredParams(UNET);
        const text = new DeclaredParams(TEXT_ENCODER);
        const ids = [share, textEncoder.max_position_embeddings];
        const objective = diffusionLoss(
          (sample, timestep, encoderHiddenStates) =>
            unet2DCondition(unetConfig, unet.params, { sample, timestep, encoderHiddenStates }),
          config.predictionType,
          {
            latents: leaves.tensor('latents', shape, ({ latents }) => latents),
            noise: leaves.tensor('noise', shape, ({ noise }) => noise),
            timesteps: leaves.vector('timesteps', ({ samples }) => samples.map(({ t }) => t)),
            alpha: leaves.perSample('alpha', ({ samples }) =>
              samples.map(({ t, pureNoise }) => (pureNoise ? 0 : schedule.alphas[t]!)),
            ),
            sigma: leaves.perSample('sigma', ({ samples }) =>
              samples.map(({ t, pureNoise }) => (pureNoise ? 1 : schedule.sigmas[t]!)),
            ),
            weights: leaves.vector('weights', ({ samples }) => samples.map(({ weight }) => weight)),
            states: clipText(
              textEncoder,
              text.params,
              leaves.tensor('ids', ids, (drawn) => drawn.ids, 'int64'),
            ).lastHiddenState,
          },
        );
        return {
          objective,
          trained: new Map([...withNames(unet, UNET), ...withNames(text, TEXT_ENCODER)]),
          counts: { unet: unet.count, text_encoder: text.count },
          async open(io) {
            const data = await openLatentData({ ...config, ...io, vae, pictures });
            opened = data;
            const { testBatch } = data;
            const batchOf = (drawn: DiffusionDraw) => ({
              inputs: leaves.inputs(drawn),
              images: config.batch,
              groups: drawn.samples.map(({ t }) => `quarter_${1 + Math.floor((4 * t) / schedule.length)}`),
            });
            return {
              async batch(at) {
                const random = randomStream(config.seed, 1, at);
                return batchOf(draw(config, await data.batch(at), tokenizer, schedule, random));
              },
              validation: pictures.test &&
                testBatch && {
                  pictures: pictures.test.size,
                  async batch(at) {
                    const random = randomStream(config.seed, 6, at);
                    const whole = { ...config, captionDropout: 0 };
                    return batchOf(draw(whole, await testBatch(at), tokenizer, schedule, random));
                  },
                },
              close: () => data.close(),
            };
          },
        };
      },
      sheet: (model) => ({
        kind: 'drawn',
        model,
        loras: [],
        prompts: config.validationPrompts ?? sampleCaptions(pictures),
        nearest: nearestIn(pictures, opened),
      }),
      async start(parameters) {
        await loadParameters(parameters, weights, config.initial ?? ofText, isFresh);
      },
      async writeModel(directory, model) {
        const tensors = model.tensors();
        await writePipeline(directory, {
          kind: 'StableDiffusionPipeline',
          schedulerClass: 'DDIMScheduler',
          vae: await storedNetworkToWrite(vae.stored.className, vae.stored),
          unet: networkToWrite(
            'unet',
            // What is drawn where nobody asks for a size.
            { ...unetConfig, sample_size: Math.floor(source.height / vae.config.factor) },
            withoutPrefix(tensors, UNET),
          ),
          textEncoder: networkToWrite('text_encoder', textEncoder, withoutPrefix(tensors, TEXT_ENCODER)),
          tokenizer: tokenizerFiles,
          schedule: config.schedule,
          scheduler: { prediction_type: config.predictionType },
          defaults: { steps: 50, guidance_scale: 3 },
        });
      },
    };
  },
};

interface DiffusionDraw {
  /** Scaled posterior means and standard normal noise, [B, C, h, w]. */
  readonly latents: HostTensor;
  readonly noise: HostTensor;
  readonly samples: readonly SampledTimestep[];
  /** Captions, some of them emptied, [B, L] int64. */
  readonly ids: HostTensor;
}

function draw(
  { batch, timesteps, captionDropout }: DiffusionRunConfig,
  { latents, captions }: LatentBatch,
  tokenizer: ClipTokenizer,
  schedule: NoiseSchedule,
  random: Generator,
): DiffusionDraw {
  const noise = random.normal(elementCount(latents.shape));
  const samples = sampleTimesteps(random, batch, schedule.length, timesteps);
  const dropped = Array.from(random.uniform(batch), (u) => u < captionDropout);
  return {
    latents,
    noise: hostTensor(noise, latents.shape),
    samples,
    ids: captionIds(tokenizer, captions, dropped),
  };
}

/** Prefixes of the two networks' parameters in the program and in checkpoints. */
const UNET = 'unet/';
const TEXT_ENCODER = 'text_encoder/';

function withNames({ declarations }: DeclaredParams, prefix: string): [string, Declaration][] {
  return [...declarations].map(([name, declaration]) => [`${prefix}${name}`, declaration]);
}

/** What the networks are, and the weights that they start from: stored ones, as far as the settings name any. */
async function networks(config: DiffusionRunConfig, source: PictureSource) {
  const { initial } = config;
  const initialText = config.initialText ?? initial;
  const text = initialText === null ? await freshText(config, source) : await storedText(initialText, source);
  const stored = initial === null ? undefined : await networkOf(await openModel(initial), 'unet');
  // The guidance that a latent consistency model is told is no part of a diffusion model.
  const base = stored ? { ...unet2DConditionConfig(stored.config), time_cond_proj_dim: null } : config.unet;
  const isPooled = config.pooledText && base.addition_embed_type === null;
  const unetConfig: UNet2DConditionConfig = {
    ...base,
    ...(isPooled && {
      addition_embed_type: 'text',
      addition_embed_type_num_heads: text.config.num_attention_heads,
    }),
  };
  return {
    text,
    unetConfig,
    weights: new Map([
      ...withPrefix(stored?.weights ?? new Map(), UNET),
      ...withPrefix(text.weights ?? new Map(), TEXT_ENCODER),
    ]),
    /** Whether a parameter has its first value from chance. */
    isFresh: (name: string) =>
      name.startsWith(TEXT_ENCODER)
        ? text.weights === undefined
        : stored === undefined || (isPooled && name.startsWith(`${UNET}add_embedding.`)),
  };
}
