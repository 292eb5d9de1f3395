/**
 * A single-file checkpoint as the files of a model. What such a file does not hold, the tokenizer and the
 * configurations, comes from a folder beside it where there is one; else configurations are told from the weights.
 */
import { dirname, join } from 'node:path';
import type { PredictionType } from '../../diffusion/prediction.ts';
import { InputError, withPlace } from '../../errors.ts';
import { type JsonObject, parseJsonObject } from '../../files/json.ts';
import { isFile } from '../../files/node/path-kind.ts';
import { readJsonObject } from '../../files/node/text-file.ts';
import { isDType } from '../../graph/dtype.ts';
import { listed } from '../../messages.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { openSafetensors } from '../../weights/node/safetensors-file.ts';
import { type Checkpoint, readCheckpoint } from '../../weights/single-file/checkpoint.ts';
import { type Family, familyOfWidth } from '../../weights/single-file/published.ts';
import type { Weights } from '../../weights/weights.ts';
import type { ModelFiles } from '../model-files.ts';
import { diffusersFiles } from './diffusers-files.ts';
import { tokenizerSource } from './single-file-tokenizer.ts';
import { libraryOf, type StoredModel } from './stored-model.ts';

/** What a single-file checkpoint does not say itself. */
export interface SingleFileOptions {
  /** A folder with CLIP's vocab.json and merges.txt, or a diffusers directory that has one. */
  readonly tokenizer?: string | undefined;
  /**
   * A diffusers directory of the same kind of model, for its configurations, tokenizer and scheduler; or the config.json
   * of a UNet, for that alone.
   */
  readonly config?: string | undefined;
  /** What the UNet predicts, where the model does not say it. */
  readonly predictionType?: PredictionType | undefined;
}

/** Parts of a pipeline that a checkpoint has, or that its configurations and tokenizers are of. */
const PARTS = /^(unet|vae|scheduler|(text_encoder|tokenizer)(_2)?)$/;

/**
 * Opens the checkpoint `path`, of which only the header is read. Throws InputError when it is damaged, when it is no
 * checkpoint of Stable Diffusion, and, as soon as it is asked for, when there is no tokenizer to be found; UsageError
 * for a prediction type that it contradicts.
 */
export async function singleFile(path: string, options: SingleFileOptions = {}): Promise<StoredModel> {
  const configFile =
    options.config !== undefined && (await isFile(options.config)) ? options.config : undefined;
  const unet = configFile === undefined ? undefined : await readUNetConfig(configFile);
  const named = options.config === configFile ? undefined : await diffusersFiles(options.config!);
  const { weights, metadata } = await openCheckpoint(path);
  const checkpoint = readCheckpoint(weights, path, {
    // A folder that somebody names says what is predicted, whatever the file says.
    predictionType: named ? undefined : options.predictionType,
    metadata,
    family: await familyOf(named, unet),
    globalStep: await globalStepOf(weights),
  });
  const config = named ?? (await configBeside(path, checkpoint));
  const classes = new Map([...checkpoint.networks].map(([name, { className }]) => [name, className]));
  classes.set('scheduler', checkpoint.scheduler.className);
  checkpoint.textEncoders.forEach((_, i) => {
    classes.set(i === 0 ? 'tokenizer' : `tokenizer_${i + 1}`, 'CLIPTokenizer');
  });
  for (const [name, className] of config?.classes ?? []) if (PARTS.test(name)) classes.set(name, className);
  const tokenizers = tokenizerSource({ path, named: options.tokenizer, config }, checkpoint);

  return {
    location: path,
    pipelineClass: config?.pipelineClass ?? checkpoint.pipelineClass,
    classes,
    options: config?.options ?? optionsOf(checkpoint),
    isCombined: true,
    libraries: new Map([...classes].map(([name, className]) => [name, libraryOf(className)])),
    copies: (part) => tokenizers.copies(part),
    about: async () => ({}),
    checkpoint: {
      location: path,
      family: checkpoint.family,
      prediction: config === undefined ? checkpoint.prediction : undefined,
      metadata,
    },
    async network(component) {
      const network = checkpoint.networks.get(component);
      if (!network && config?.classes.has(component)) {
        return config.network(component).catch((error) => {
          throw withPlace(`${path} has no ${component}, and of its configuration`, error);
        });
      }
      if (!network) {
        throw new InputError(
          `${path} has no ${component}; it holds ${listed([...checkpoint.networks.keys()])}${component === 'vae' ? '. Pass one with --vae' : ''}`,
          { path },
        );
      }
      const stored =
        component === 'unet' && unet ? unet : config && (await readJson(config, `${component}/config.json`));
      return {
        location: `${path}, ${component}`,
        config: stored ?? network.config(),
        weights: network.weights,
      };
    },
    async text(name) {
      const slash = name.indexOf('/');
      const [folder, file] = [name.slice(0, slash), name.slice(slash + 1)];
      if (/^tokenizer(_\d+)?$/.test(folder)) return tokenizers.text(folder, file);
      if (config !== undefined) return config.text(name);
      return name === 'scheduler/scheduler_config.json'
        ? JSON.stringify(checkpoint.scheduler.config)
        : undefined;
    },
  };
}

/** What diffusers writes into model_index.json for the families' published models. */
function optionsOf({ family }: Checkpoint): JsonObject {
  return family === 'stable-diffusion-xl'
    ? { force_zeros_for_empty_prompt: true }
    : { requires_safety_checker: false };
}

async function openCheckpoint(path: string) {
  if (/\.(ckpt|pt|pth|bin)$/.test(path)) {
    throw new InputError(
      `${path} is a Python pickle, which can run any code when it is opened; only safetensors are read. Most models are offered as .safetensors too; or convert it once where you trust it`,
      { path, code: 'unsupported' },
    );
  }
  return openSafetensors(path);
}

async function readUNetConfig(path: string): Promise<JsonObject> {
  const expected = "expected a diffusers directory, or the config.json of a diffusers model's UNet";
  if (/\.ya?ml$/.test(path)) {
    throw new InputError(`${path} is a configuration of the original code, which is not read; ${expected}`, {
      path,
    });
  }
  const json = await readJsonObject(path);
  const { _class_name: name = 'UNet2DConditionModel' } = json;
  if (name === 'UNet2DConditionModel' && 'cross_attention_dim' in json) return json;
  throw new InputError(`${path} describes no UNet2DConditionModel; ${expected}`, { path });
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

/** The folder that the file lies in, or `config` beside it, if it describes this model. */
async function configBeside(path: string, checkpoint: Checkpoint): Promise<StoredModel | undefined> {
  for (const folder of [dirname(path), join(dirname(path), 'config')]) {
    if (!(await isFile(join(folder, 'model_index.json')))) continue;
    const files = await diffusersFiles(folder);
    if (await describes(files, checkpoint)) return files;
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
