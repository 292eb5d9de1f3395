/** LoRA files, wherever they lie. */
import { InputError } from '../errors.ts';
import { type Files, folderOf, nameOf, sourceIn, textIn } from '../files/files.ts';
import { parseJsonObject } from '../files/json.ts';
import { listed } from '../messages.ts';
import { loadBytes } from '../weights/load-tensors.ts';
import {
  ADAPTER_CONFIG_NAME,
  ADAPTER_FILE_NAME,
  isIntegerAlpha,
  LORA_FILE_NAME,
  type Lora,
  type ReadLoraOptions,
  readLora,
} from '../weights/lora-file.ts';
import type { AdapterConfig } from '../weights/lora-settings.ts';
import { safetensorsOf } from '../weights/open-safetensors.ts';
import type { Weight } from '../weights/weights.ts';

const PICKLE = /\.(ckpt|pt|pth|bin)$/;

/**
 * Opens the LoRA in the safetensors file `path` of a folder, or the folder's own: as diffusers or peft name it, or the
 * only file. What peft says of it in a file beside it is read too; of the weights only the header. Throws InputError when
 * there is none, or it is not LoRA.
 */
export async function loraIn(
  files: Files,
  path?: string,
  options: Pick<ReadLoraOptions, 'alpha'> = {},
): Promise<Lora> {
  const { folder, name } = folderOf(files, path ?? loraFileIn(files.location, await files.list()));
  const source = await sourceIn(folder, name);
  if (PICKLE.test(name)) throw pickled(source.name);
  const { weights, metadata } = await safetensorsOf(source);
  const adapterConfig = await adapterConfigOf(folder, name);
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
  const lora = readLora(adapted, metadata, source.name, { ...options, adapterConfig });
  const isUncertain = name === ADAPTER_FILE_NAME && !adapterConfig && options.alpha === undefined;
  if (!isUncertain) return lora;
  const warning = `${source.name} has no ${ADAPTER_CONFIG_NAME} beside it, in which peft says alpha; taken is the rank`;
  return { ...lora, warnings: [...lora.warnings, warning] };
}

/** Of the files `names` in `folder`, the one with the LoRA. Throws InputError when there is none, or no telling which. */
function loraFileIn(folder: string, names: readonly string[]): string {
  const files = names.filter((name) => name.endsWith('.safetensors'));
  const known = [LORA_FILE_NAME, ADAPTER_FILE_NAME].find((name) => files.includes(name));
  if (known !== undefined) return known;
  if (files.length === 1) return files[0]!;
  const pickle = names.find((name) => PICKLE.test(name));
  if (files.length === 0 && pickle !== undefined) throw pickled(`${folder}/${pickle}`);
  throw new InputError(
    `LoRA ${folder}: expected ${LORA_FILE_NAME}, ${ADAPTER_FILE_NAME} or one other .safetensors file in the folder; it has ${listed(files.length > 0 ? files : names)}`,
    { path: folder },
  );
}

/** peft's configuration beside a file, if it is that file's: where there are several, that of peft's own name. */
async function adapterConfigOf(folder: Files, name: string): Promise<AdapterConfig | undefined> {
  const text = await textIn(folder, ADAPTER_CONFIG_NAME);
  if (text === undefined) return undefined;
  const files = (await folder.list()).filter((each) => each.endsWith('.safetensors'));
  if (name !== ADAPTER_FILE_NAME && files.length > 1) return undefined;
  const from = nameOf(folder, ADAPTER_CONFIG_NAME);
  return { from, json: parseJsonObject(text, from) };
}

function pickled(file: string): InputError {
  return new InputError(
    `LoRA ${file} is a Python pickle, which can run any code when it is opened; only safetensors are read. Most LoRAs are offered as .safetensors too`,
    { path: file, code: 'unsupported' },
  );
}
