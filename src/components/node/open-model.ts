/** A model by whatever people call it: a folder, a file, or a name on the hub; and other parts for it. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, SettingError } from '../../errors.ts';
import { isFile, pathKind } from '../../files/node/path-kind.ts';
import { localPath } from '../../hub/node/cache.ts';
import { openDiffusersDirectory } from '../../weights/node/diffusers-directory.ts';
import { openModelFolder } from '../../weights/node/model-folder.ts';
import { refuseRunFolder } from '../../weights/node/run-folder.ts';
import { openSafetensors } from '../../weights/node/safetensors-file.ts';
import { autoencoderAlone } from '../../weights/single-file/autoencoder.ts';
import type { ModelFiles, StoredAutoencoder } from '../model-files.ts';
import { diffusersFiles } from './diffusers-files.ts';
import { withUNet } from './other-unet.ts';
import { type SingleFileOptions, singleFile } from './single-file.ts';
import { libraryOf, type StoredModel } from './stored-model.ts';

/** What a model is opened with beside its own files. */
export interface OpenModelOptions extends SingleFileOptions, OtherParts {}

/** Parts in place of the model's own. */
export interface OtherParts {
  /** See `withUNet`. */
  readonly unet?: string | undefined;
  /** See `withAutoencoder`. */
  readonly vae?: string | undefined;
}

/**
 * Opens a diffusers directory, a single-file checkpoint, or, by its name on the hub, a model that was downloaded
 * before; nothing is downloaded here. Throws InputError when there is no such model, UsageError for a configuration or
 * a tokenizer given to a diffusers directory, which has its own, and for a prediction type that a file contradicts.
 */
export async function openModel(name: string, options: OpenModelOptions = {}): Promise<StoredModel> {
  const opened = await openPath(await localPath(name), options);
  const { predictionType } = options;
  const files = predictionType === undefined ? opened : { ...opened, predictionType, isCombined: true };
  return withOtherParts(files, options);
}

/** The model with other parts in place of its own. */
export async function withOtherParts(files: StoredModel, { unet, vae }: OtherParts): Promise<StoredModel> {
  const denoising = unet === undefined ? files : await withUNet(files, unet);
  return vae === undefined ? denoising : withAutoencoder(denoising, vae);
}

async function openPath(path: string, options: SingleFileOptions): Promise<StoredModel> {
  await refuseRunFolder(path);
  const file = await checkpointFile(path);
  if (file !== undefined) return singleFile(file, options);
  const files = await diffusersFiles(path);
  for (const name of ['config', 'tokenizer'] as const) {
    if (options[name] === undefined) continue;
    throw new SettingError(
      name,
      name,
      `${options[name]}: ${path} is a diffusers directory, which has its own; only a single-file checkpoint takes another`,
    );
  }
  return files;
}

/** The single-file checkpoint at a path, if it is one, or a folder with one, as the hub has them. */
async function checkpointFile(path: string): Promise<string | undefined> {
  if ((await pathKind(path)) === 'file') return path;
  const names = await readdir(path).catch((): string[] => []);
  const checkpoints = names.filter((name) => name.endsWith('.safetensors'));
  return !names.includes('model_index.json') && checkpoints.length === 1
    ? join(path, checkpoints[0]!)
    : undefined;
}

/**
 * The model with the autoencoder `name` for its own: a diffusers directory, a folder with one network, a file, or by its
 * name on the hub one that was downloaded before.
 * A file does not say how its latents are scaled; it is taken to be made for this model.
 */
async function withAutoencoder(files: StoredModel, name: string): Promise<StoredModel> {
  const { className, ...network } = await openAutoencoder(name, files);
  return {
    ...files,
    isCombined: true,
    classes: new Map([...files.classes, ['vae', className]]),
    libraries: new Map([...files.libraries, ['vae', libraryOf(className)]]),
    network: async (component) => (component === 'vae' ? network : files.network(component)),
  };
}

/**
 * An autoencoder for `model`: see `withAutoencoder`. Without a model a file is taken to scale latents as Stable Diffusion
 * 1 does. Throws InputError when there is none.
 */
export async function openAutoencoder(name: string, model?: ModelFiles): Promise<StoredAutoencoder> {
  const path = await localPath(name);
  const kind = await pathKind(path);
  if (kind === undefined)
    throw new InputError(`VAE ${path}: there is no such file or folder`, { path, code: 'not-found' });
  if (kind === 'file') {
    const { weights } = await openSafetensors(path);
    return { location: path, ...autoencoderAlone(weights, path, await trainingOf(model)) };
  }
  await refuseRunFolder(path);
  const isPipeline = await isFile(join(path, 'model_index.json'));
  const className = isPipeline
    ? (await openDiffusersDirectory(path)).components.get('vae')?.className
    : undefined;
  // What `lcm train autoencoder` writes is a folder with a vae and nothing else.
  const isInside = isPipeline || (await isFile(join(path, 'vae', 'config.json')));
  const folder = await openModelFolder(isInside ? join(path, 'vae') : path, { className });
  return {
    location: folder.path,
    className: folder.className,
    config: folder.config,
    weights: folder.weights,
  };
}

/** How the model's own autoencoder scales latents; where it has none, how its family does. */
async function trainingOf(
  model: ModelFiles | undefined,
): Promise<{ sampleSize: number; scalingFactor: number }> {
  const isXL = model?.pipelineClass.startsWith('StableDiffusionXL');
  const usual = isXL
    ? { sampleSize: 1024, scalingFactor: 0.13025 }
    : { sampleSize: 512, scalingFactor: 0.18215 };
  if (model?.classes.get('vae') !== 'AutoencoderKL') return usual;
  const { config } = await model.network('vae');
  const { sample_size: size, scaling_factor: factor } = config as Record<string, unknown>;
  return {
    sampleSize: typeof size === 'number' ? size : usual.sampleSize,
    scalingFactor: typeof factor === 'number' ? factor : usual.scalingFactor,
  };
}
