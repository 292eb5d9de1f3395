/** Copying a diffusers directory with its weights in another type, and with another part in place of one of its own. */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import type { StorageDType } from '../convert.ts';
import { writeFileAtomically } from './atomic-write.ts';
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
        `${source} has no ${part} to replace; it has ${[...directory.components.keys()].join(', ')}`,
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
  for (const [name, text] of Object.entries(await textFiles(source))) {
    if (name !== 'model_index.json') await writeFileAtomically(join(target, name), [encode(text)]);
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
  return { ...component, files: await textFiles(folder) };
}

/** The files directly in a folder, by name. */
async function textFiles(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((cause) => {
    throw new InputError(`${folder} cannot be read: model_index.json names it, so it must be a folder`, {
      cause,
    });
  });
  const names = entries.filter((entry) => entry.isFile() && /\.(json|txt|md)$/.test(entry.name));
  const texts = names.map(async ({ name }) => [name, await readFile(join(folder, name), 'utf8')] as const);
  return Object.fromEntries(await Promise.all(texts));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text);
