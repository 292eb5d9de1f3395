/** LoRA files on this machine. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { namesIn } from '../../files/node/regular-file.ts';
import { localPath } from '../../hub/node/cache.ts';
import { type Lora, readLora } from '../lora-file.ts';
import { openSafetensors } from './safetensors-file.ts';

/** As diffusers names it in a folder. */
export const LORA_FILE_NAME = 'pytorch_lora_weights.safetensors';

/**
 * Opens a LoRA: a safetensors file, a folder with pytorch_lora_weights.safetensors or one other, or by its name on the
 * hub one that was downloaded before. Only the header is read. `alpha` replaces what the file says. Throws InputError
 * when there is none, or it is not LoRA.
 */
export async function openLora(name: string, options: { alpha?: number } = {}): Promise<Lora> {
  const path = await localPath(name);
  const found = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw new InputError(`LoRA ${path}: there is no such file or folder`, { cause });
  });
  const file = found.isDirectory() ? await fileIn(path) : path;
  if (/\.(ckpt|pt|pth|bin)$/.test(file)) {
    throw new InputError(
      `LoRA ${file} is a Python pickle, which can run any code when it is opened; only safetensors are read. Most LoRAs are offered as .safetensors too`,
    );
  }
  const { weights, metadata } = await openSafetensors(file);
  return readLora(weights, metadata, file, options);
}

async function fileIn(folder: string): Promise<string> {
  const names = (await namesIn(folder)).filter((name) => name.endsWith('.safetensors'));
  return join(folder, names.length === 1 ? names[0]! : LORA_FILE_NAME);
}
