import { mkdtemp, readFile, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { loadTensors } from '../load-tensors.ts';
import { encodeSafetensors } from '../safetensors.ts';
import { openSafetensors, writeSafetensors } from './safetensors-file.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'safetensors-'));
});
afterAll(() => rm(folder, { recursive: true }));

const tensors = new Map([
  ['weight', hostTensor(Float32Array.of(1, 2, 3, 4, 5, 6), [2, 3])],
  ['bias', hostTensor(Uint16Array.of(0x3c00, 0x4000), [2], 'float16')],
  ['odd', hostTensor(Uint8Array.of(7), [1])],
  ['none', hostTensor(new Float32Array(0), [0])],
]);

describe('a safetensors file on disk', () => {
  it('is written as it is encoded in memory, and read back', async () => {
    const path = join(folder, 'model.safetensors');
    await writeSafetensors(path, tensors, { format: 'pt' });
    expect(new Uint8Array(await readFile(path))).toEqual(encodeSafetensors(tensors, { format: 'pt' }));
    const { weights, metadata } = await openSafetensors(path);
    expect(metadata).toEqual({ format: 'pt' });
    expect(Object.fromEntries(await loadTensors(weights))).toEqual(Object.fromEntries(tensors));
    expect([...(await loadTensors(weights, ['bias'])).keys()]).toEqual(['bias']);
  });

  it('gives ranges of the real file behind a symbolic link', async () => {
    const path = join(folder, 'target.safetensors');
    await writeSafetensors(path, tensors);
    await symlink(path, join(folder, 'link.safetensors'));
    const { weights } = await openSafetensors(join(folder, 'link.safetensors'));
    const { storage } = weights.get('weight')!;
    expect(storage).toMatchObject({ kind: 'source', length: 24 });
    expect(storage.kind === 'source' && storage.source.path?.endsWith('target.safetensors')).toBe(true);
  });

  it.each([
    ['is missing', async () => join(folder, 'nowhere', 'x.safetensors'), /there is no such file/],
    ['is a folder', async () => folder, /is a folder; expected a file/],
    [
      'is cut off',
      async () => {
        const path = join(folder, 'cut.safetensors');
        await writeFile(path, encodeSafetensors(tensors).subarray(0, -1));
        return path;
      },
      /cut\.safetensors.*cut off/,
    ],
    [
      'holds only five bytes',
      async () => {
        const path = join(folder, 'five.safetensors');
        await writeFile(path, 'hello');
        return path;
      },
      /5 bytes/,
    ],
  ])('that %s is refused', async (_, make, message) => {
    const error = await openSafetensors(await make()).catch((error: unknown) => error);
    expect(error).toBeInstanceOf(InputError);
    expect((error as Error).message).toMatch(message);
  });

  it('that shrinks after it was opened is refused', async () => {
    const path = join(folder, 'shrinking.safetensors');
    await writeSafetensors(path, tensors);
    const { weights } = await openSafetensors(path);
    await truncate(path, 50);
    await expect(loadTensors(weights)).rejects.toThrow(InputError);
  });
});
