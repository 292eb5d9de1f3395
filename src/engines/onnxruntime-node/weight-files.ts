/**
 * Weights that stay in their files. ONNX Runtime maps files into memory where they lie, if their paths start from one
 * folder and do not leave it. The root of the file system (on Windows: of a drive) is such a folder for all files,
 * wherever they are, so nothing has to be copied, linked or writable. A file must not be changed while it is in use:
 * to renew it, write beside it and rename.
 */
import type { BigIntStats } from 'node:fs';
import { stat } from 'node:fs/promises';
import { parse, resolve } from 'node:path';
import { InputError } from '../../errors.ts';
import type { Program } from '../../graph/program.ts';
import type { Weights } from '../../weights/weights.ts';

export interface WeightFiles {
  readonly folder: string;
  /** A file's path from `folder` on. */
  locationOf(path: string): string;
  /** Path, size and time of the last change of each file: another one when a file is another. */
  readonly versions: readonly string[];
}

/** Values in memory are then written into the model, whose bytes protobuf limits to 2 GB: no more than this. */
const MOST_IN_MEMORY = 2 ** 29;

/**
 * How a program's weights can be read in place, or undefined when they cannot be (or none lies in a file) and have to
 * be read into memory: the files lie on several drives, or too much is in memory beside them.
 *
 * Throws InputError when a file is not there or ends before a weight does.
 */
export async function weightFiles(
  program: Program,
  weights: Weights | undefined,
): Promise<WeightFiles | undefined> {
  const roots = new Set<string>();
  const files = new Map<string, BigIntStats>();
  let inMemory = 0;
  for (const name of program.parameters.keys()) {
    const storage = weights?.get(name)?.storage;
    if (storage?.kind === 'bytes') inMemory += storage.bytes.byteLength;
    if (storage?.kind !== 'source') continue;
    const { source, offset, length } = storage;
    const { path } = source;
    if (path === undefined) {
      inMemory += length;
      continue;
    }
    const file = files.get(path) ?? (await statOf(path, name));
    files.set(path, file);
    const { size } = file;
    if (offset + length > size) {
      throw new InputError(
        `${path} has ${size} bytes, but the weight ${name} lies at ${offset} to ${offset + length}: the file is cut off`,
        { path, code: 'damaged' },
      );
    }
    roots.add(parse(resolve(path)).root);
  }
  for (const { node } of program.constants)
    if (node.kind === 'constant') inMemory += node.value.data.byteLength;
  const [folder] = roots;
  if (folder === undefined || roots.size > 1 || inMemory > MOST_IN_MEMORY) return undefined;
  const versions = [...files].map(([path, { size, mtimeNs }]) => `${resolve(path)} ${size} ${mtimeNs}`);
  return { folder, locationOf: (path) => resolve(path).slice(folder.length), versions };
}

async function statOf(path: string, weight: string): Promise<BigIntStats> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    throw new InputError(`the file ${path} with the weight ${weight} cannot be read`, {
      cause: error,
      path,
      code: 'cannot-read',
    });
  }
}
