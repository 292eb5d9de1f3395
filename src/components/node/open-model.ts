/** A model by whatever people call it: a folder, a file, or a name on the hub; and other parts for it. */
import { readdir } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, SettingError } from '../../errors.ts';
import { folderFiles } from '../../files/node/folder.ts';
import { pathKind } from '../../files/node/path-kind.ts';
import { localPath } from '../../hub/node/cache.ts';
import { refuseRunFolder } from '../../weights/node/run-folder.ts';
import type { ModelFiles, StoredAutoencoder } from '../model-files.ts';
import { autoencoderIn, autoencoderInFile, withAutoencoder } from '../other-autoencoder.ts';
import { diffusersFiles } from './diffusers-files.ts';
import { withStoredUNet } from './other-unet.ts';
import { type SingleFileOptions, singleFile } from './single-file.ts';
import { libraryOf, type StoredModel } from './stored-model.ts';

/** What a model is opened with beside its own files. */
export interface OpenModelOptions extends SingleFileOptions, OtherParts {}

/** Parts in place of the model's own. */
export interface OtherParts {
  /** See `withStoredUNet`. */
  readonly unet?: string | undefined;
  /** See `withStoredAutoencoder`. */
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
  const denoising = unet === undefined ? files : await withStoredUNet(files, unet);
  return vae === undefined ? denoising : withStoredAutoencoder(denoising, vae);
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
 */
async function withStoredAutoencoder(files: StoredModel, name: string): Promise<StoredModel> {
  const autoencoder = await openAutoencoder(name, files);
  return {
    ...files,
    ...withAutoencoder(files, autoencoder),
    isCombined: true,
    libraries: new Map([...files.libraries, ['vae', libraryOf(autoencoder.className)]]),
  };
}

/** An autoencoder for `model`: see `withStoredAutoencoder`, `autoencoderInFile`. Throws InputError when there is none. */
export async function openAutoencoder(name: string, model?: ModelFiles): Promise<StoredAutoencoder> {
  const path = await localPath(name);
  const kind = await pathKind(path);
  if (kind === undefined)
    throw new InputError(`VAE ${path}: there is no such file or folder`, { path, code: 'not-found' });
  if (kind === 'file') return autoencoderInFile(folderFiles(dirname(path)), basename(path), model);
  await refuseRunFolder(path);
  return autoencoderIn(folderFiles(path));
}
