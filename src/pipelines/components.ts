/** The parts of a model: configurations that were checked, a tokenizer, and where the weights lie. */
import { InputError } from '../errors.ts';
import { type CLIPTextConfig, clipTextConfig } from '../models/clip-text.ts';
import { configFields } from '../models/config.ts';
import { type UNet2DConditionConfig, unet2DConditionConfig } from '../models/unet-2d-condition-config.ts';
import { type ClipTokenizer, requireFitting } from '../text/clip-tokenizer.ts';
import { loadClipTokenizer } from '../text/tokenizer-files.ts';
import type { Weights } from '../weights/weights.ts';
import { type Autoencoder, autoencoder } from './autoencoder.ts';
import type { ModelFiles } from './model-files.ts';
import { type Scheduler, scheduler } from './scheduler.ts';

/** A network: what describes it (its config, mostly) and its weights. */
export interface Component<Description> {
  /** For messages: `models/postcards/unet`. */
  readonly location: string;
  readonly config: Description;
  readonly weights: Weights;
}

/** What a request that says nothing else gets. */
export interface GenerationDefaults {
  readonly steps?: number;
  readonly guidanceScale?: number;
}

export interface Components {
  /** For messages: `models/postcards`. */
  readonly location: string;
  /** diffusers' class, e.g. `LatentConsistencyModelPipeline`. */
  readonly pipelineClass: string;
  readonly tokenizer: ClipTokenizer;
  readonly textEncoder: Component<CLIPTextConfig>;
  readonly unet: Component<UNet2DConditionConfig>;
  readonly vae: Component<Autoencoder>;
  readonly scheduler: Scheduler;
  /** From `generation_defaults.json`, which a model may have: what it was made for. */
  readonly defaults: GenerationDefaults;
}

/** Pipelines whose parts and whose order of draws are known here. */
const supportedClasses = ['LatentConsistencyModelPipeline', 'StableDiffusionPipeline'];

/** Reads all configurations. Throws InputError, naming the file, when one is missing or not supported. */
export async function loadComponents(files: ModelFiles): Promise<Components> {
  if (!supportedClasses.includes(files.pipelineClass)) {
    throw new InputError(
      `${files.location} is a ${files.pipelineClass}; supported are ${supportedClasses.join(' and ')}`,
    );
  }
  const [tokenizer, textEncoder, unet, vae, schedulerJson, defaults] = await Promise.all([
    loadClipTokenizer((file) => files.text(`tokenizer/${file}`), `${files.location}/tokenizer`),
    component(files, 'text_encoder', clipTextConfig),
    component(files, 'unet', unet2DConditionConfig),
    component(files, 'vae', (json) => autoencoder(files.classes.get('vae') ?? '', json)),
    readJson(files, 'scheduler/scheduler_config.json'),
    generationDefaults(files),
  ]);
  requireFitting(tokenizer, textEncoder.config.vocab_size, files.location);
  const width = textEncoder.config.hidden_size;
  if (unet.config.cross_attention_dim !== width) {
    throw new InputError(
      `${unet.location}: cross_attention_dim is ${unet.config.cross_attention_dim}, but the text encoder's ` +
        `hidden_size is ${width}; the two do not belong together`,
    );
  }
  if (unet.config.out_channels !== vae.config.latentChannels) {
    throw new InputError(
      `${unet.location}: out_channels is ${unet.config.out_channels}, but the VAE's latents have ` +
        `${vae.config.latentChannels} channels; the two do not belong together`,
    );
  }
  return {
    location: files.location,
    pipelineClass: files.pipelineClass,
    tokenizer,
    textEncoder,
    unet,
    vae,
    scheduler: located(`${files.location}/scheduler`, () =>
      scheduler(files.classes.get('scheduler') ?? '', schedulerJson),
    ),
    defaults,
  };
}

async function component<Description>(
  files: ModelFiles,
  name: string,
  describe: (json: unknown) => Description,
): Promise<Component<Description>> {
  const { location, config, weights } = await files.network(name);
  return { location, config: located(location, () => describe(config)), weights };
}

/** What is wrong with a configuration, with the folder in which it lies. */
function located<T>(location: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    if (error instanceof InputError) throw new InputError(`${location}: ${error.message}`, { cause: error });
    throw error;
  }
}

async function generationDefaults(files: ModelFiles): Promise<GenerationDefaults> {
  const name = 'generation_defaults.json';
  const json = await readJson(files, name, {});
  const fields = configFields(`${files.location}/${name}`, json);
  const steps = fields.optionalInteger('steps');
  const guidanceScale = fields.optionalNumber('guidance_scale');
  fields.finish();
  return { ...(steps !== null && { steps }), ...(guidanceScale !== null && { guidanceScale }) };
}

/** Parses JSON as Python writes it, infinities included; a missing file is an error unless there is a fallback. */
async function readJson(files: ModelFiles, path: string, fallback?: unknown): Promise<unknown> {
  const text = await files.text(path);
  if (text === undefined) {
    if (fallback !== undefined) return fallback;
    throw new InputError(`${files.location} has no ${path}; a diffusers directory needs it`);
  }
  try {
    return JSON.parse(text.replace(/(:\s*-?)Infinity\b/g, '$11e999'));
  } catch (error) {
    throw new InputError(`${files.location}/${path} is not valid JSON: ${(error as Error).message}`, {
      cause: error,
    });
  }
}
