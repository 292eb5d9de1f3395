/** Checksums of files, by which people and programs know models. */
import { createHash } from 'node:crypto';
import { withRegularFile } from '../../files/node/regular-file.ts';
import type { Weights } from '../weights.ts';
import { startOfTensors } from './safetensors-file.ts';

/** Which part of a file is read. */
export interface HashOptions {
  /** The byte to begin with. */
  readonly start?: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * SHA-256 of the file `path` in hexadecimal digits, read piece by piece. Of a whole file the first 10 digits are
 * Automatic1111's hash of a checkpoint or a VAE. Throws InputError when it cannot be read.
 */
export async function hashFile(path: string, { start = 0, signal }: HashOptions = {}): Promise<string> {
  const hash = createHash('sha256');
  await withRegularFile(path, async (file) => {
    for await (const chunk of file.createReadStream({ start, highWaterMark: 1 << 20, autoClose: false })) {
      signal?.throwIfAborted();
      hash.update(chunk as Buffer);
    }
  });
  return hash.digest('hex');
}

/**
 * SHA-256 of what follows the header of a safetensors file, whatever its metadata say. The first 12 digits are the hash
 * by which Automatic1111 and Civitai know a LoRA. Throws InputError when it cannot be read, or is no such file.
 */
export async function hashTensors(path: string, options: Pick<HashOptions, 'signal'> = {}): Promise<string> {
  return hashFile(path, { ...options, start: await startOfTensors(path) });
}

/** The files that weights lie in, without repetition, in alphabetical order. */
export function filesOf(weights: Weights): string[] {
  const paths = [...weights.values()].flatMap(({ storage }) =>
    storage.kind === 'source' ? (storage.source.path ?? []) : [],
  );
  return [...new Set(paths)].sort();
}
