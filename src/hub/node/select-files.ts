/** Which files of a model's repository are needed: configurations, tokenizer, and one set of safetensors. */

import { basename } from 'node:path';
import { InputError } from '../../errors.ts';
import { isJsonObject, parseJsonObject } from '../../files/json.ts';
import { listed, shown } from '../../messages.ts';
import { TRAINING_CAPTIONS } from '../../text/training-captions.ts';
import { ADAPTER_CONFIG_NAME, ADAPTER_FILE_NAME, LORA_FILE_NAME } from '../../weights/lora-file.ts';
import { chooseWeightsFile } from '../../weights/model-folder.ts';

/** Which files of a repository are needed. */
export interface SelectionOptions {
  /** `fp16` for `diffusion_pytorch_model.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /** Exactly these. */
  readonly files?: readonly string[] | undefined;
}

/** The parts of a pipeline that are used here; others, such as the safety checker, are left out. */
const NETWORKS = ['unet', 'vae', 'text_encoder', 'text_encoder_2'];
const TOKENIZERS = ['tokenizer', 'tokenizer_2'];
/** How many names of files an error shows. */
const LISTED = 12;

/**
 * The paths that are needed, `model_index.json` last. `paths`: all files of the repository; `read` gives the text
 * of one (and may download it); `id` names the repository in errors. Throws InputError when there is nothing that
 * can be used, with what there is.
 */
export async function selectFiles(
  id: string,
  paths: readonly string[],
  read: (path: string) => Promise<string>,
  { variant, files }: SelectionOptions,
): Promise<string[]> {
  const present = new Set(paths);
  if (files !== undefined && files.length > 0) {
    const missing = files.find((file) => !present.has(file));
    if (missing === undefined) return [...files];
    throw new InputError(`${id} has no file ${missing}; it has ${listed(paths, LISTED)}`, {
      path: id,
      code: 'not-found',
    });
  }
  const inFolder = (folder: string) =>
    paths.flatMap((path) => (folderOf(path) === folder ? [basename(path)] : []));
  const weightsOf = (folder: string) => weightFiles(id, folder, inFolder(folder), read, variant);
  if (!present.has('model_index.json')) {
    const root = inFolder('');
    const isEmpty = !root.some((name) => name === 'config.json' || name.endsWith('.safetensors'));
    // Some publish a UNet alone in the folder that it has in a pipeline.
    if (isEmpty && present.has('unet/config.json')) return [...(await weightsOf('unet')), 'unet/config.json'];
    return selectLone(id, root, () => weightsOf(''));
  }

  const index = parseJsonObject(await read('model_index.json'), `${id}/model_index.json`);
  const uses = (name: string) => Array.isArray(index[name]) && index[name][0] !== null;
  const wanted: string[] = [];
  for (const name of NETWORKS.filter(uses)) wanted.push(`${name}/config.json`, ...(await weightsOf(name)));
  for (const name of TOKENIZERS.filter(uses)) wanted.push(...tokenizerFiles(name, inFolder(name)));
  if (uses('scheduler')) wanted.push('scheduler/scheduler_config.json');
  const lacking = wanted.find((path) => !present.has(path));
  if (lacking !== undefined)
    throw new InputError(`${id} has no ${lacking}, which its model_index.json asks for`, { path: id });
  const defaults = ['generation_defaults.json'].filter((path) => present.has(path));
  return [...wanted, ...defaults, 'model_index.json'];
}

/** A repository without a pipeline: one network, a LoRA, or a single file. */
async function selectLone(
  id: string,
  names: readonly string[],
  weights: () => Promise<string[]>,
): Promise<string[]> {
  const safetensors = names.filter((name) => name.endsWith('.safetensors'));
  if (
    names.includes('config.json') &&
    names.some((name) => /^(diffusion_pytorch_model|model)\./.test(name))
  ) {
    return [...(await weights()), 'config.json'];
  }
  if (safetensors.includes(LORA_FILE_NAME)) return [LORA_FILE_NAME];
  // What peft writes beside a LoRA says how much of it is added.
  const config = names.filter((name) => name === ADAPTER_CONFIG_NAME);
  if (safetensors.includes(ADAPTER_FILE_NAME)) return [ADAPTER_FILE_NAME, ...config];
  if (safetensors.length === 1) return [...safetensors, ...config];
  if (safetensors.length > 1) {
    throw new InputError(
      `${id} holds several models; choose with --file one of ${listed(safetensors, LISTED)}`,
      { path: id },
    );
  }
  const pickle = names.find((name) => /\.(bin|ckpt|pt|pth)$/.test(name));
  throw new InputError(
    pickle === undefined
      ? `${id} holds no model that can be used here: expected model_index.json, or safetensors; it has ${listed(names, LISTED)}`
      : `${id} offers its weights only as ${pickle}, a Python pickle, which can run any code when it is opened; only safetensors are read`,
    { path: id },
  );
}

async function weightFiles(
  id: string,
  folder: string,
  names: readonly string[],
  read: (path: string) => Promise<string>,
  variant: string | undefined,
): Promise<string[]> {
  const at = (name: string) => (folder === '' ? name : `${folder}/${name}`);
  const file = chooseWeightsFile(folder === '' ? id : `${id}/${folder}`, names, variant);
  if (!file.endsWith('.json')) return [at(file)];
  const { weight_map: map } = parseJsonObject(await read(at(file)), `${id}/${at(file)}`);
  if (!isJsonObject(map))
    throw new InputError(`${id}/${at(file)} has no "weight_map"`, { path: `${id}/${at(file)}` });
  const shards = [...new Set<unknown>(Object.values(map))].map((shard) => {
    if (typeof shard === 'string' && names.includes(shard) && shard.endsWith('.safetensors'))
      return at(shard);
    throw new InputError(`${id}/${at(file)} names ${shown(shard)}, which is not there`, {
      path: `${id}/${at(file)}`,
      code: 'damaged',
    });
  });
  return [...shards, at(file)];
}

function tokenizerFiles(folder: string, names: readonly string[]): string[] {
  const settings = ['tokenizer_config.json', 'special_tokens_map.json', TRAINING_CAPTIONS].filter((name) =>
    names.includes(name),
  );
  const pair = names.includes('vocab.json') && names.includes('merges.txt');
  const vocabulary = pair ? ['vocab.json', 'merges.txt'] : ['tokenizer.json'];
  return [...settings, ...vocabulary].map((name) => `${folder}/${name}`);
}

function folderOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

/** Some of the names, however many and long they are. */
