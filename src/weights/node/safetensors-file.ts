/** Safetensors files on disk: headers by ranged reads, tensors when they are wanted, writing tensor by tensor. */
import { type FileHandle, realpath } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { withRegularFile } from '../../files/node/regular-file.ts';
import { allocate, viewAs } from '../../graph/dtype.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { bytesOf, LENGTH_BYTES, parseHeader, planSafetensors, readHeaderLength } from '../safetensors.ts';
import { readableType, type Weight, type Weights } from '../weights.ts';
import { writeFileAtomically } from './atomic-write.ts';

/** Node refuses to read 2 GiB at once. */
const MAX_CHUNK = 2 ** 30;

export interface OpenedSafetensors {
  /** Ranges of the file; nothing but the header has been read. */
  readonly weights: Weights;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Reads the header of `path`. Throws InputError when the file is missing, cut off or not valid. */
export async function openSafetensors(path: string): Promise<OpenedSafetensors> {
  return withRegularFile(path, async (file, size) => {
    const start = await readRange(file, 0, Math.min(LENGTH_BYTES, size), path);
    const headerLength = readHeaderLength(start, size, path);
    const header = await readRange(file, LENGTH_BYTES, headerLength, path);
    const { entries, metadata } = parseHeader(header, size, path);
    // ONNX Runtime refuses external data behind symbolic links, which is how hub caches store their files.
    const target = await realpath(path);
    const weights = new Map<string, Weight>();
    for (const [name, { dtype, shape, offset, length }] of entries) {
      weights.set(name, { dtype, shape, storage: { kind: 'file', path: target, offset, length } });
    }
    return { weights, metadata };
  });
}

/** The byte of the file `path` where its header has ended and its tensors begin. */
export async function startOfTensors(path: string): Promise<number> {
  return withRegularFile(path, async (file, size) => {
    const start = await readRange(file, 0, Math.min(LENGTH_BYTES, size), path);
    return LENGTH_BYTES + readHeaderLength(start, size, path);
  });
}

/**
 * Reads the weights called `names` (all by default) into memory, in their stored types, as parameters have them. Throws
 * InputError for one that is not there, or of a type that is not read.
 */
export async function loadTensors(
  weights: Weights,
  names: Iterable<string> = weights.keys(),
): Promise<Map<string, HostTensor>> {
  const bytes = await loadBytes(weights, names);
  return new Map([...bytes].map(([name, each]) => [name, tensorOf(name, weights.get(name)!, each)]));
}

/** Reads the bytes of the weights called `names`, of whatever type. Throws InputError for one that is not there. */
export async function loadBytes(weights: Weights, names: Iterable<string>): Promise<Map<string, Uint8Array>> {
  const loaded = new Map<string, Uint8Array>();
  const byFile = new Map<string, string[]>();
  for (const name of names) {
    const weight = weights.get(name);
    if (!weight) throw new InputError(`there is no weight called "${name}"`);
    const { storage } = weight;
    if (storage.kind === 'bytes') {
      loaded.set(name, storage.bytes);
    } else {
      const known = byFile.get(storage.path);
      if (known) known.push(name);
      else byFile.set(storage.path, [name]);
    }
  }
  for (const [path, wanted] of byFile) {
    await withRegularFile(path, async (file) => {
      for (const name of wanted) {
        const { storage } = weights.get(name)!;
        if (storage.kind !== 'file') continue;
        loaded.set(name, await readRange(file, storage.offset, storage.length, path));
      }
    });
  }
  return loaded;
}

/** Writes a safetensors file atomically. Throws InputError when the place cannot be written or is full. */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, HostTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Promise<void> {
  const { head, names } = planSafetensors(tensors, metadata);
  await writeFileAtomically(path, [head, ...names.map((name) => bytesOf(tensors.get(name)!))]);
}

function tensorOf(name: string, weight: Weight, bytes: Uint8Array): HostTensor {
  const { shape, transposed } = weight;
  const dtype = readableType(name, weight);
  const data = viewAs(dtype, bytes);
  if (!transposed) return { dtype, shape, data };
  const [rows, columns] = shape as [number, number];
  const turned = allocate(dtype, data.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++)
      turned[column * rows + row] = data[row * columns + column]!;
  }
  return { dtype, shape: [columns, rows], data: turned };
}

async function readRange(
  file: FileHandle,
  offset: number,
  length: number,
  path: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, Math.min(length - done, MAX_CHUNK), offset + done);
    if (bytesRead === 0)
      throw new InputError(
        `${path} became shorter while it was read: it ends before byte ${offset + length}`,
      );
    done += bytesRead;
  }
  return bytes;
}
