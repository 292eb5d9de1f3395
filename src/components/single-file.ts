/**
 * A single-file checkpoint as the files of a model, wherever it lies. What such a file does not hold, the tokenizer and
 * the configurations, comes from a folder beside it where there is one; else configurations are told from the weights.
 */
import type { PredictionType } from '../diffusion/prediction.ts';
import { InputError, withPlace } from '../errors.ts';
import { type Files, folderOf, hasFile, sourceIn, within } from '../files/files.ts';
import { type JsonObject, parseJsonObject } from '../files/json.ts';
import { isDType } from '../graph/dtype.ts';
import { listed } from '../messages.ts';
import { loadTensors } from '../weights/load-tensors.ts';
import { type OpenedSafetensors, safetensorsOf } from '../weights/open-safetensors.ts';
import { type Checkpoint, readCheckpoint } from '../weights/single-file/checkpoint.ts';
import { type Family, familyOfWidth } from '../weights/single-file/published.ts';
import type { Weights } from '../weights/weights.ts';
import { modelFilesIn } from './diffusers-files.ts';
import type { ModelFiles } from './model-files.ts';
import { type TokenizerPlace, tokenizerPlace, tokenizerText } from './single-file-tokenizer.ts';

/** Where that comes from which a single-file checkpoint does not say itself. */
export interface SingleFileSources {
  /** A folder with CLIP's vocab.json and merges.txt, or a diffusers directory that has one. */
  readonly tokenizer?: Files | undefined;
  /** CLIP's own tokenizer, asked for where there is no other. */
  readonly clip?: (() => Promise<Files | undefined>) | undefined;
  /**
   * A diffusers directory of the same kind of model, for its configurations, tokenizer and scheduler. Default: the
   * folder that the file lies in, or `config` in it, if one of them describes this model.
   */
  readonly config?: Files | undefined;
  /** What the config.json of the UNet says, for that alone. */
  readonly unetConfig?: JsonObject | undefined;
  /** What the UNet predicts, where the model does not say it. */
  readonly predictionType?: PredictionType | undefined;
}

/** A single-file checkpoint as the files of a model. */
export interface SingleFile extends ModelFiles {
  /**
   * Where the tokenizer lies that the pipeline calls `part`, `tokenizer` or `tokenizer_2`. Throws InputError when there
   * is none to be found.
   */
  tokenizer(part: string): Promise<TokenizerPlace>;
}

/** Parts of a pipeline that a checkpoint has, or that its configurations and tokenizers are of. */
const PARTS = /^(unet|vae|scheduler|(text_encoder|tokenizer)(_2)?)$/;
const TOKENIZER = /^tokenizer(_\d+)?$/;

/**
 * Opens the checkpoint `path` of a folder; only its header is read. Throws InputError when it is damaged, when it is no
 * checkpoint of Stable Diffusion, and, as soon as it is asked for, when there is no tokenizer to be found; UsageError
 * for a prediction type that it contradicts.
 */
export async function singleFileIn(
  files: Files,
  path: string,
  sources: SingleFileSources = {},
): Promise<SingleFile> {
  const source = await sourceIn(files, path);
  const location = source.name;
  refusePickle(location);
  const { folder } = folderOf(files, path);
  const named = sources.config && (await modelFilesIn(sources.config));
  const opened = await safetensorsOf(source);
  const checkpoint = await checkpointOf(opened, location, named, sources);
  const directory = sources.config ?? (await configBeside(folder, checkpoint));
  const config = named ?? (directory && (await modelFilesIn(directory)));
  const tokenizer = (part: string) => {
    const { tokenizer, clip } = sources;
    const places = { file: location, beside: folder, named: tokenizer, config: directory, clip };
    return tokenizerPlace(places, part, checkpoint);
  };
  return {
    location,
    pipelineClass: config?.pipelineClass ?? checkpoint.pipelineClass,
    classes: classesOf(checkpoint, config),
    options: config?.options ?? optionsOf(checkpoint),
    checkpoint: {
      location,
      family: checkpoint.family,
      prediction: config === undefined ? checkpoint.prediction : undefined,
      metadata: opened.metadata,
    },
    tokenizer,
    async network(component) {
      const network = checkpoint.networks.get(component);
      if (!network && config?.classes.has(component)) {
        return config.network(component).catch((error) => {
          throw withPlace(`${location} has no ${component}, and of its configuration`, error);
        });
      }
      if (!network) {
        throw new InputError(
          `${location} has no ${component}; it holds ${listed([...checkpoint.networks.keys()])}${component === 'vae' ? '. Pass one with --vae' : ''}`,
          { path: location },
        );
      }
      const stored =
        component === 'unet' && sources.unetConfig
          ? sources.unetConfig
          : config && (await readJson(config, `${component}/config.json`));
      return {
        location: `${location}, ${component}`,
        config: stored ?? network.config(),
        weights: network.weights,
      };
    },
    async text(name) {
      const slash = name.indexOf('/');
      const [part, file] = [name.slice(0, slash), name.slice(slash + 1)];
      if (TOKENIZER.test(part)) return tokenizerText(await tokenizer(part), file);
      if (config !== undefined) return config.text(name);
      return name === 'scheduler/scheduler_config.json'
        ? JSON.stringify(checkpoint.scheduler.config)
        : undefined;
    },
  };
}

function refusePickle(file: string): void {
  if (!/\.(ckpt|pt|pth|bin)$/.test(file)) return;
  throw new InputError(
    `${file} is a Python pickle, which can run any code when it is opened; only safetensors are read. Most models are offered as .safetensors too; or convert it once where you trust it`,
    { path: file, code: 'unsupported' },
  );
}

async function checkpointOf(
  { weights, metadata }: OpenedSafetensors,
  file: string,
  named: ModelFiles | undefined,
  { predictionType, unetConfig }: SingleFileSources,
): Promise<Checkpoint> {
  return readCheckpoint(weights, file, {
    // A folder that somebody names says what is predicted, whatever the file says.
    predictionType: named ? undefined : predictionType,
    metadata,
    family: await familyOf(named, unetConfig),
    globalStep: await globalStepOf(weights),
  });
}

/** The class of each part: the file's, and what the directory that describes it says of them. */
function classesOf(
  { networks, scheduler, textEncoders }: Checkpoint,
  config: ModelFiles | undefined,
): Map<string, string> {
  const classes = new Map([...networks].map(([name, { className }]) => [name, className]));
  classes.set('scheduler', scheduler.className);
  textEncoders.forEach((_, i) => {
    classes.set(i === 0 ? 'tokenizer' : `tokenizer_${i + 1}`, 'CLIPTokenizer');
  });
  for (const [name, className] of config?.classes ?? []) if (PARTS.test(name)) classes.set(name, className);
  return classes;
}

/** What diffusers writes into model_index.json for the families' published models. */
function optionsOf({ family }: Checkpoint): JsonObject {
  return family === 'stable-diffusion-xl'
    ? { force_zeros_for_empty_prompt: true }
    : { requires_safety_checker: false };
}

/** The kind of model that the named configurations describe. */
async function familyOf(
  named: ModelFiles | undefined,
  unet: JsonObject | undefined,
): Promise<Family | undefined> {
  if (named?.pipelineClass.startsWith('StableDiffusionXL')) return 'stable-diffusion-xl';
  const described = unet ?? (named && (await readJson(named, 'unet/config.json')));
  if (described === undefined) return undefined;
  if (described.addition_embed_type === 'text_time') return 'stable-diffusion-xl';
  return familyOfWidth(described.cross_attention_dim) ?? 'stable-diffusion-1';
}

async function globalStepOf(weights: Weights): Promise<number | undefined> {
  const stored = weights.get('global_step');
  if (stored?.shape.length !== 0 || !isDType(stored.dtype)) return undefined;
  const tensor = (await loadTensors(weights, ['global_step'])).get('global_step');
  return Number(tensor?.data[0]);
}

/** The folder that the file lies in, or `config` in it, if it describes this model. */
async function configBeside(folder: Files, checkpoint: Checkpoint): Promise<Files | undefined> {
  for (const candidate of [folder, within(folder, 'config')]) {
    if (!(await hasFile(candidate, 'model_index.json'))) continue;
    if (await describes(await modelFilesIn(candidate), checkpoint)) return candidate;
  }
  return undefined;
}

/** Whether the widths in the folder's configuration of the UNet are those of the file. */
async function describes(files: ModelFiles, { networks }: Checkpoint): Promise<boolean> {
  const config = await readJson(files, 'unet/config.json');
  const { weights } = networks.get('unet')!;
  const stored = (name: string) => weights.get(`${name}.weight`)?.shape ?? [];
  return (
    config !== undefined &&
    stored('conv_in')[1] === config.in_channels &&
    stored('mid_block.attentions.0.transformer_blocks.0.attn2.to_k')[1] === config.cross_attention_dim &&
    Array.isArray(config.block_out_channels) &&
    stored('conv_in')[0] === config.block_out_channels[0]
  );
}

async function readJson(files: ModelFiles, name: string): Promise<JsonObject | undefined> {
  const text = await files.text(name);
  return text === undefined ? undefined : parseJsonObject(text, `${files.location}/${name}`);
}
