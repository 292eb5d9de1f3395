import { mkdtemp, readdir, rm, stat, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Executable } from '../engines/engine.ts';
import { UsageError } from '../errors.ts';
import { float16ToFloat32 } from '../graph/float16.ts';
import { float32Data, hostTensor } from '../graph/host-tensor.ts';
import { loadTensors, openSafetensors } from '../weights/node/safetensors-file.ts';
import { LatentsCache, type LatentsCacheOptions } from './latents-cache.ts';

let folder: string;
let path: string;
let runs: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latents-'));
  path = join(folder, 'latents.safetensors');
  runs = 0;
});
afterEach(() => rm(folder, { recursive: true }));

/** The latents of a picture: its first two numbers. Picture i is filled with i. */
const encoder: Executable = {
  async run({ pixels }) {
    runs += 1;
    const [batch] = pixels!.shape as [number];
    const size = pixels!.data.length / batch;
    const values = float32Data(pixels!);
    const latents = Array.from({ length: batch }, (_, i) => [values[i * size]!, values[i * size + 1]!]);
    return { latents: hostTensor(Float32Array.from(latents.flat()), [batch, 2, 1, 1]) };
  },
  async dispose() {},
};

const options = (changes: Partial<LatentsCacheOptions> = {}): LatentsCacheOptions => ({
  path,
  count: 10,
  source: {
    identity: 'numbers',
    captionIdentity: 'numbers',
    size: 10,
    shuffled: false,
    height: 2,
    width: 2,
    pixels: async (indices) => Float32Array.from(indices.flatMap((index) => new Array(12).fill(index))),
    caption: String,
  },
  encoder,
  encodeBatch: 4,
  shape: [2, 1, 1],
  description: { pictures: 'numbers' },
  ...changes,
});

it('encodes when needed, in order, and once', async () => {
  const cache = await LatentsCache.open(options());
  expect([...(await cache.read([1, 5]))]).toEqual([1, 1, 5, 5]);
  expect([cache.done, runs]).toEqual([8, 2]);
  expect([...(await cache.read([9, 0]))]).toEqual([9, 9, 0, 0]);
  expect([cache.done, runs]).toEqual([10, 3]);
  await cache.read([7]);
  expect(runs).toBe(3);
  await cache.close();

  expect(await readdir(folder)).toEqual(['latents.safetensors']);
  const { weights } = await openSafetensors(path);
  const { data } = (await loadTensors(weights)).get('latents')!;
  expect(Array.from(float16ToFloat32(data as Uint16Array)).filter((_, i) => i % 2 === 0)).toEqual([
    0, 1, 2, 3, 4, 5, 6, 7, 8, 9,
  ]);
  const again = await LatentsCache.open(options());
  expect([...(await again.read([3]))]).toEqual([3, 3]);
  expect(runs).toBe(3);
  await again.close();
});

it('goes on after a kill in the middle of a write', async () => {
  const cache = await LatentsCache.open(options());
  await cache.read([6]);
  await cache.close();
  const partial = `${path}.partial`;
  await truncate(partial, (await stat(partial)).size - 3);
  const again = await LatentsCache.open(options());
  expect(again.done).toBe(7);
  expect([...(await again.read([7, 4, 9]))]).toEqual([7, 7, 4, 4, 9, 9]);
  await again.close();
  expect(await readdir(folder)).toEqual(['latents.safetensors']);
});

it('refuses the latents of something else', async () => {
  const cache = await LatentsCache.open(options());
  await cache.read([0]);
  await cache.close();
  const other = LatentsCache.open(options({ description: { pictures: 'letters' } }));
  await expect(other).rejects.toThrow(UsageError);
  await expect(LatentsCache.open(options({ count: 11 }))).rejects.toThrow(/another number of pictures/);
});
