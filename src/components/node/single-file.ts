/** Single-file checkpoints of this machine, by their paths. */
import { basename, dirname, join } from 'node:path';
import type { PredictionType } from '../../diffusion/prediction.ts';
import { InputError } from '../../errors.ts';
import { type JsonObject, parseJsonObject } from '../../files/json.ts';
import { folderFiles } from '../../files/node/folder.ts';
import { isFile } from '../../files/node/path-kind.ts';
import { readJsonObject } from '../../files/node/text-file.ts';
import { findCachedModel } from '../../hub/node/cache.ts';
import { partFiles } from '../../weights/node/copied-files.ts';
import { singleFileIn } from '../single-file.ts';
import { CLIP, OPEN_CLIP_PADDING, type TokenizerPlace } from '../single-file-tokenizer.ts';
import { requireFolder } from './diffusers-files.ts';
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

/** Opens the checkpoint `path`: `singleFileIn`, with what lies on this machine for what it does not hold. */
export async function singleFile(path: string, options: SingleFileOptions = {}): Promise<StoredModel> {
  const { tokenizer, config, predictionType } = options;
  const model = await singleFileIn(folderFiles(dirname(path)), basename(path), {
    ...(await readConfig(config)),
    tokenizer: tokenizer === undefined ? undefined : folderFiles(tokenizer),
    clip: cachedClip,
    predictionType,
  });
  const libraries = [...model.classes].map(([name, className]) => [name, libraryOf(className)] as const);
  return {
    ...model,
    isCombined: true,
    libraries: new Map(libraries),
    copies: async (part) => tokenizerFiles(await model.tokenizer(part)),
    about: async () => ({}),
  };
}

async function readConfig(path: string | undefined) {
  if (path === undefined) return {};
  if (await isFile(path)) return { unetConfig: await readUNetConfig(path) };
  await requireFolder(path);
  return { config: folderFiles(path) };
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

async function cachedClip() {
  const path = await findCachedModel(CLIP);
  return path === undefined ? undefined : folderFiles(path);
}

/** The files of a tokenizer as they are copied. */
async function tokenizerFiles({ model, folder, padsLikeOpenClip }: TokenizerPlace) {
  const files = await partFiles(model.path!, folder.path!);
  if (!padsLikeOpenClip) return files;
  const name = 'tokenizer_config.json';
  const settings = new TextDecoder().decode(files[name] ?? new TextEncoder().encode('{}'));
  const config = { ...parseJsonObject(settings, join(folder.path!, name)), ...OPEN_CLIP_PADDING };
  return {
    ...files,
    'special_tokens_map.json': JSON.stringify(OPEN_CLIP_PADDING),
    [name]: JSON.stringify(config, null, 2),
  };
}
