/** LoRA files of this machine, by their paths or names on the hub. */
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { InputError, UsageError } from '../../errors.ts';
import { folderFiles } from '../../files/node/folder.ts';
import { localPath } from '../../hub/node/cache.ts';
import type { AppliedLora } from '../../weights/lora.ts';
import type { Lora, ReadLoraOptions } from '../../weights/lora-file.ts';
import { parseLoraReference } from '../../weights/lora-reference.ts';
import { refuseRunFolder } from '../../weights/node/run-folder.ts';
import { loraIn } from '../lora-files.ts';

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
  if (!found.isDirectory()) return loraIn(folderFiles(dirname(path)), basename(path), options);
  await refuseRunFolder(path);
  return loraIn(folderFiles(path), undefined, options);
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
