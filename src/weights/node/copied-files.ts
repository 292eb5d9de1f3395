/**
 * The small files of a model that are copied as they are: tokenizers, schedulers, texts about the model. They are
 * known by name, and are the model's own: a model of a stranger may hold links to whatever lies on this machine.
 */

import { realpath } from 'node:fs/promises';
import { basename, dirname, join, sep } from 'node:path';
import { InputError } from '../../errors.ts';
import { isMissing, readBytes, unreadable } from '../../files/node/regular-file.ts';
import { TRAINING_CAPTIONS } from '../../text/training-captions.ts';

/** In the folder of a part that is no network: what diffusers and transformers read there. */
const PART_FILES = [
  'scheduler_config.json',
  'vocab.json',
  'merges.txt',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'added_tokens.json',
  'preprocessor_config.json',
  TRAINING_CAPTIONS,
];

/** Beside model_index.json. */
const MODEL_FILES = [
  'README.md',
  'LICENSE',
  'LICENSE.md',
  'LICENSE.txt',
  'NOTICE',
  'evaluation.md',
  'generation_defaults.json',
];

/** Bytes that one of them may have: CLIP's tokenizer.json, the largest, has 2.2 MB. */
const LARGEST = 2 ** 24;

/** The files of a part, by name, that lies in `folder` of the model `model`. Throws InputError when it has none. */
export async function partFiles(model: string, folder: string): Promise<Record<string, Uint8Array>> {
  const files = await readOwn(model, folder, PART_FILES);
  if (Object.keys(files).length > 0) return files;
  throw new InputError(
    `${folder} holds nothing that could be copied; expected one of ${PART_FILES.join(', ')}`,
    { path: folder },
  );
}

/** The texts about the diffusers directory `model`, by name. */
export async function modelFiles(model: string): Promise<Record<string, Uint8Array>> {
  return readOwn(model, model, MODEL_FILES);
}

async function readOwn(
  model: string,
  folder: string,
  names: readonly string[],
): Promise<Record<string, Uint8Array>> {
  const root = await ownFolder(model);
  const files: Record<string, Uint8Array> = {};
  for (const name of names) {
    const path = join(folder, name);
    try {
      const target = await realpath(path).catch((error) => {
        throw unreadable(path, error);
      });
      if (!target.startsWith(root + sep)) {
        throw new InputError(
          `${path} is a link to ${target}, outside of the model, and is not copied; put the file itself there`,
          { path },
        );
      }
      files[name] = await readBytes(path, LARGEST);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
  return files;
}

/** What belongs to the model: its folder, and in the cache of downloads that of all its revisions and contents. */
async function ownFolder(model: string): Promise<string> {
  const folder = await realpath(model).catch((error) => {
    throw unreadable(model, error);
  });
  const isSnapshot =
    basename(dirname(folder)) === 'snapshots' && basename(dirname(dirname(folder))).startsWith('models--');
  return isSnapshot ? dirname(dirname(folder)) : folder;
}
