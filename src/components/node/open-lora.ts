/** LoRA files on this machine. */
import { stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { InputError, UsageError } from '../../errors.ts';
import { parseJsonObject } from '../../files/json.ts';
import { namesIn } from '../../files/node/regular-file.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { localPath } from '../../hub/node/cache.ts';
import { listed } from '../../messages.ts';
import { loadBytes } from '../../weights/load-tensors.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import {
  ADAPTER_CONFIG_NAME,
  ADAPTER_FILE_NAME,
  isIntegerAlpha,
  LORA_FILE_NAME,
  type Lora,
  type ReadLoraOptions,
  readLora,
} from '../../weights/lora-file.ts';
import { parseLoraReference } from '../../weights/lora-reference.ts';
import type { AdapterConfig } from '../../weights/lora-settings.ts';
import { refuseRunFolder } from '../../weights/node/run-folder.ts';
import { openSafetensors } from '../../weights/node/safetensors-file.ts';
import type { OpenedSafetensors } from '../../weights/open-safetensors.ts';
import type { Weight } from '../../weights/weights.ts';

const PICKLE = /\.(ckpt|pt|pth|bin)$/;

/**
 * Opens a LoRA: a safetensors file, a folder with one as diffusers or peft write it or with a single one, or by its name
 * on the hub one that was downloaded before. Only the header is read. `alpha` replaces what the file says. Throws
 * InputError when there is none, or it is not LoRA.
 */
export async function openLora(name: string, options: Pick<ReadLoraOptions, 'alpha'> = {}): Promise<Lora> {
  const path = await localPath(name);
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new InputError(`LoRA ${path}: there is no such file or folder`, { cause, path, code: 'not-found' });
  });
  if (found.isDirectory()) await refuseRunFolder(path);
  const file = found.isDirectory() ? join(path, loraFileIn(path, await namesIn(path))) : path;
  if (PICKLE.test(file)) throw pickled(file);
  return readLoraFile(file, await openSafetensors(file), options);
}

/**
 * LoRAs by their names, each with its strength after a colon if that is not 1, as in `style.safetensors:0.8`; what is
 * open already as it is. Throws InputError as `openLora`, UsageError for an empty name.
 */
export function openLoras(loras: readonly (string | AppliedLora)[]): Promise<AppliedLora[]> {
  return Promise.all(
    loras.map(async (each) => {
      if (typeof each !== 'string') return each;
      const { path, strength } = parseLoraReference(each);
      if (path === '')
        throw new UsageError('a LoRA is named "": expected a .safetensors file, or a folder with one');
      return { name: path, lora: await openLora(path), strength };
    }),
  );
}

/** The LoRA in the safetensors file `file`, whose header was read, with what peft says of it beside it. */
export async function readLoraFile(
  file: string,
  { weights, metadata }: OpenedSafetensors,
  options: Pick<ReadLoraOptions, 'alpha'> = {},
): Promise<Lora> {
  const adapterConfig = await adapterConfigOf(file);
  const integers = [...weights].filter(([name, weight]) => isIntegerAlpha(name, weight));
  const read = await loadBytes(
    weights,
    integers.map(([name]) => name),
  );
  const inMemory = integers.map(([name, weight]): [string, Weight] => [
    name,
    { ...weight, storage: { kind: 'bytes', bytes: read.get(name)! } },
  ]);
  const adapted = new Map([...weights, ...inMemory]);
  const lora = readLora(adapted, metadata, file, { ...options, adapterConfig });
  const isUncertain = basename(file) === ADAPTER_FILE_NAME && !adapterConfig && options.alpha === undefined;
  if (!isUncertain) return lora;
  const warning = `${file} has no ${ADAPTER_CONFIG_NAME} beside it, in which peft says alpha; taken is the rank`;
  return { ...lora, warnings: [...lora.warnings, warning] };
}

/** Of the files `names` in `folder`, the one with the LoRA. Throws InputError when there is none, or no telling which. */
export function loraFileIn(folder: string, names: readonly string[]): string {
  const files = names.filter((name) => name.endsWith('.safetensors'));
  const known = [LORA_FILE_NAME, ADAPTER_FILE_NAME].find((name) => files.includes(name));
  if (known !== undefined) return known;
  if (files.length === 1) return files[0]!;
  const pickle = names.find((name) => PICKLE.test(name));
  if (files.length === 0 && pickle !== undefined) throw pickled(join(folder, pickle));
  throw new InputError(
    `LoRA ${folder}: expected ${LORA_FILE_NAME}, ${ADAPTER_FILE_NAME} or one other .safetensors file in the folder; it has ${listed(files.length > 0 ? files : names)}`,
    { path: folder },
  );
}

/** peft's configuration beside a file, if it is that file's: where there are several, that of peft's own name. */
async function adapterConfigOf(file: string): Promise<AdapterConfig | undefined> {
  const path = join(dirname(file), ADAPTER_CONFIG_NAME);
  const text = await readTextIfThere(path);
  if (text === undefined) return undefined;
  const files = (await namesIn(dirname(file))).filter((name) => name.endsWith('.safetensors'));
  if (basename(file) !== ADAPTER_FILE_NAME && files.length > 1) return undefined;
  return { from: path, json: parseJsonObject(text, path) };
}

function pickled(file: string): InputError {
  return new InputError(
    `LoRA ${file} is a Python pickle, which can run any code when it is opened; only safetensors are read. Most LoRAs are offered as .safetensors too`,
    { path: file, code: 'unsupported' },
  );
}
