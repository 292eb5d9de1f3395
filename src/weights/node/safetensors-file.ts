/** Safetensors files of this machine: opened by their paths, and written. */
import { fileSource } from '../../files/node/folder.ts';
import type { HostTensor } from '../../graph/host-tensor.ts';
import { type OpenedSafetensors, safetensorsOf, tensorsStart } from '../open-safetensors.ts';
import { bytesOf, planSafetensors } from '../safetensors.ts';
import { writeFileAtomically } from './atomic-write.ts';

/** Reads the header of `path`. Throws InputError when the file is missing, cut off or not valid. */
export async function openSafetensors(path: string): Promise<OpenedSafetensors> {
  return safetensorsOf(await fileSource(path));
}

/** The byte of the file `path` where its header has ended and its tensors begin. */
export async function startOfTensors(path: string): Promise<number> {
  return tensorsStart(await fileSource(path));
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
