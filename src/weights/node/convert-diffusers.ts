/** Copying a diffusers directory with its weights in another type, and with another part in place of one of its own. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { listed } from '../../messages.ts';
import type { StorageDType } from '../convert.ts';
import { writeFileAtomically } from './atomic-write.ts';
import { modelFiles, partFiles } from './copied-files.ts';
import { type DiffusersDirectory, openDiffusersDirectory } from './diffusers-directory.ts';
import { openModelFolder } from './model-folder.ts';
import { loadTensors } from './safetensors-file.ts';
import { type ComponentToWrite, writeDiffusersDirectory } from './write-diffusers.ts';

export interface ConvertOptions {
  /** The type of the written floating-point weights. */
  readonly dtype: StorageDType;
  /** Folders of models to take in place of the directory's own, by part: `{ vae: 'runs/decoder/model/vae' }`. */
  readonly replacements?: Readonly<Record<string, string>>;
  /** Ends the work between two parts; then nothing is written. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the pipeline in `source` to `target`, which must not exist yet. Networks are converted, everything else is
 * copied. Throws InputError for what is missing or damaged; then nothing is written.
 */
export async function convertDiffusersDirectory(
  source: string,
  target: string,
  { dtype, replacements = {}, signal }: ConvertOptions,
): Promise<void> {
  const directory = await openDiffusersDirectory(source);
  for (const part of Object.keys(replacements)) {
    if (!directory.components.has(part)) {
      throw new InputError(
        `${source} has no ${part} to replace; it has ${listed([...directory.components.keys()], 12)}`,
      );
    }
  }
  const components: Record<string, ComponentToWrite> = {};
  for (const name of directory.components.keys()) {
    signal?.throwIfAborted();
    components[name] = await componentToWrite(directory, name, replacements[name]);
  }
  const { pipelineClass, options } = directory;
  await writeDiffusersDirectory(target, { pipelineClass, components, options }, { dtype, signal });
  for (const [name, content] of Object.entries(await modelFiles(source))) {
    await writeFileAtomically(join(target, name), [content]);
  }
}

async function componentToWrite(
  directory: DiffusersDirectory,
  name: string,
  replacement: string | undefined,
): Promise<ComponentToWrite> {
  const component = directory.components.get(name)!;
  const folder = replacement ?? join(directory.path, name);
  if (await exists(join(folder, 'config.json'))) {
    const { config, weights } = await openModelFolder(folder, { className: component.className });
    return { ...component, config, tensors: await loadTensors(weights) };
  }
  return { ...component, files: await partFiles(directory.path, name) };
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
