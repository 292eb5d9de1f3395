/** One model of a diffusers directory: a folder with config.json and safetensors, whole or in shards. */
import { InputError } from '../errors.ts';
import { type Files, jsonObjectIn, nameOf, sourceIn } from '../files/files.ts';
import { isJsonObject, type JsonObject } from '../files/json.ts';
import { isPathPart } from '../files/path-part.ts';
import { brief, listed, shown } from '../messages.ts';
import { withCurrentNames } from './key-layouts.ts';
import { safetensorsOf } from './open-safetensors.ts';
import type { Weight, Weights } from './weights.ts';

export interface ModelFolder {
  readonly path: string;
  /** Of diffusers or transformers, e.g. `UNet2DConditionModel`. */
  readonly className: string;
  readonly config: JsonObject;
  /** Ranges of the files, under current names. */
  readonly weights: Weights;
  /** The file, or the index of its shards, that the weights come from. */
  readonly file: string;
}

export interface ModelFolderOptions {
  /** `fp16` for `diffusion_pytorch_model.fp16.safetensors`. By default the plain files, else the only variant. */
  readonly variant?: string;
  /** Where config.json does not say it. */
  readonly className?: string;
}

/** The name of the weights without its endings: diffusers' models, transformers' models. */
const STEMS = 'diffusion_pytorch_model|model';
const WHOLE = new RegExp(`^(?:${STEMS})(?:\\.([^.]+))?\\.safetensors$`);
const INDEX = new RegExp(`^(?:${STEMS})\\.safetensors\\.index(?:\\.([^.]+))?\\.json$`);
const SHARD = /-\d+-of-\d+\b/;
const PICKLE = /\.(bin|ckpt|pt|pth)$/;

/** Reads the config and the headers of the weights. Throws InputError when something is missing or damaged. */
export async function modelFolderOf(files: Files, options: ModelFolderOptions = {}): Promise<ModelFolder> {
  const path = files.location;
  const config = await jsonObjectIn(files, 'config.json');
  const className = options.className ?? classNameOf(config, nameOf(files, 'config.json'));
  const name = chooseWeightsFile(path, await files.list(), options.variant);
  const weights = name.endsWith('.json')
    ? await shardsOf(files, name)
    : (await safetensorsOf(await sourceIn(files, name))).weights;
  const file = nameOf(files, name);
  return { path, className, config, weights: withCurrentNames(className, weights), file };
}

/** diffusers writes `_class_name`, transformers `architectures`. */
function classNameOf(config: JsonObject, file: string): string {
  const { _class_name: name, architectures } = config;
  if (typeof name === 'string') return name;
  if (Array.isArray(architectures) && typeof architectures[0] === 'string') return architectures[0];
  throw new InputError(`${file} names no model: it has neither _class_name nor architectures`, {
    path: file,
  });
}

/**
 * Of the files `names` in the folder `path`, the one with the weights: safetensors, or the index of their shards.
 * Throws InputError when there is none, or several and none of them is what was asked for.
 */
export function chooseWeightsFile(
  path: string,
  names: readonly string[],
  variant: string | undefined,
): string {
  // A folder may hold a model both whole and in shards; the whole one is looked for first.
  const candidates = [WHOLE, INDEX].flatMap((pattern) =>
    names.flatMap((name) => {
      const match = pattern.exec(name);
      return match && !SHARD.test(name) ? [{ name, variant: match[1] }] : [];
    }),
  );
  const exact = candidates.find((candidate) => candidate.variant === variant);
  if (exact) return exact.name;
  const variants = [...new Set(candidates.map((candidate) => candidate.variant))];
  if (variant === undefined && variants.length === 1) return candidates[0]!.name;
  if (candidates.length > 0) {
    throw new InputError(
      `${path} has no weights ${variant === undefined ? 'without a variant' : `of variant "${variant}"`}; it has ${listed(candidates.map(({ name }) => name))}. Name one of these variants`,
      { path },
    );
  }
  const pickle = names.find((name) => PICKLE.test(name));
  if (pickle !== undefined) {
    throw new InputError(
      `${path}/${pickle} is a Python pickle, which can run any code when it is opened; only safetensors are read. Download the .safetensors files of this model, or convert it once with diffusers: pipeline.save_pretrained(folder, safe_serialization=True)`,
      { path: `${path}/${pickle}`, code: 'unsupported' },
    );
  }
  throw new InputError(
    `${path} holds no weights: expected diffusion_pytorch_model.safetensors or model.safetensors`,
    { path },
  );
}

/** The weights of all shards that `index`, a `*.safetensors.index.json`, names. */
async function shardsOf(files: Files, name: string): Promise<Weights> {
  const index = nameOf(files, name);
  const { weight_map: map } = await jsonObjectIn(files, name);
  if (!isJsonObject(map)) throw new InputError(`${index} has no "weight_map"`, { path: index });
  const opened = new Map<string, Weights>();
  const weights = new Map<string, Weight>();
  for (const [weight, shard] of Object.entries(map)) {
    if (!isPathPart(shard) || !shard.endsWith('.safetensors')) {
      throw new InputError(
        `${index}: the shard of ${brief(weight)} must be a safetensors file beside it, got ${shown(shard)}`,
        { path: index },
      );
    }
    const inShard = opened.get(shard) ?? (await safetensorsOf(await sourceIn(files, shard))).weights;
    opened.set(shard, inShard);
    const found = inShard.get(weight);
    if (!found) {
      throw new InputError(`${nameOf(files, shard)} lacks ${brief(weight)}, which ${name} says it holds`, {
        path: nameOf(files, shard),
        code: 'damaged',
      });
    }
    weights.set(weight, found);
  }
  return weights;
}
