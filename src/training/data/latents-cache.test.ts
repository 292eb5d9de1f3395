import { mkdtemp, open, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { Executable } from '../../engines/engine.ts';
import { InputError, UsageError } from '../../errors.ts';
import { float16ToFloat32 } from '../../graph/float16.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { loadTensors } from '../../weights/load-tensors.ts';
import { openSafetensors } from '../../weights/node/safetensors-file.ts';
import type { TrainingEvent } from '../loop/events.ts';
import { ExampleOrder } from './example-order.ts';
import { LatentsCache, type LatentsCacheOptions } from './latents-cache.ts';
import type { PictureSource } from './picture-source.ts';
import { ShuffledIndices } from './random-stream.ts';

let folder: string;
let path: string;
let runs: number;
let events: TrainingEvent[];
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'latents-'));
  path = join(folder, 'latents.safetensors');
  runs = 0;
  events = [];
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

const COUNT = 10;
const BLOCK = 4;
const SEED = 3;
/** The order in which a training of that seed meets the pictures. */
const walk = new ShuffledIndices(SEED, COUNT);
const order = Array.from({ length: COUNT }, (_, place) => walk.at(place));

const source: PictureSource = {
  identity: 'numbers',
  captionIdentity: 'numbers',
  size: COUNT,
  shuffled: false,
  variety: { crop: false, flip: false },
  pictures: COUNT,
  pictureOf: (example) => example,
  sizeOf: () => ({ height: 2, width: 2 }),
  sizes: [{ height: 2, width: 2 }],
  height: 2,
  width: 2,
  pixels: async (indices) => Float32Array.from(indices.flatMap((index) => new Array(12).fill(index))),
  caption: String,
};

const options = (changes: Partial<LatentsCacheOptions> = {}): LatentsCacheOptions => ({
  path,
  count: COUNT,
  source,
  size: source,
  encounters: (seed) => new ExampleOrder({ source, seed, batch: 1 }).encounters(),
  encoder: async () => encoder,
  block: BLOCK,
  seed: SEED,
  shape: [2, 1, 1],
  description: { pictures: 'numbers' },
  onProgress: (event) => events.push(event),
  ...changes,
});

/** Fills the cache, or what is missing of it; every picture has to have its own latents. */
async function fill(changes: Partial<LatentsCacheOptions> = {}): Promise<void> {
  const cache = await LatentsCache.open(options(changes));
  const pictures = Array.from({ length: COUNT }, (_, i) => i);
  expect([...(await cache.read(seen(...pictures)))]).toEqual(pictures.flatMap((i) => [i, i]));
  expect(cache.done).toBe(COUNT);
  await cache.close();
}

const seen = (...pictures: readonly number[]) => pictures.map((picture) => ({ picture, variant: 0 }));

const warnings = () => events.flatMap((event) => (event.type === 'warning' ? [event.message] : []));

/** Changes bytes of the file. */
async function overwrite(position: number, bytes: Uint8Array): Promise<void> {
  const file = await open(path, 'r+');
  await file.write(bytes, 0, bytes.length, position);
  await file.close();
}

it('encodes what is needed, in the order of training, and once', async () => {
  const cache = await LatentsCache.open(options());
  expect([...(await cache.read(seen(order[0]!, order[3]!)))]).toEqual([
    order[0],
    order[0],
    order[3],
    order[3],
  ]);
  expect([cache.done, runs]).toEqual([4, 1]);
  // The last block has two pictures.
  await cache.read(seen(order[9]!, order[1]!));
  expect([cache.done, runs]).toEqual([6, 2]);
  await cache.read(seen(order[8]!));
  expect(runs).toBe(2);
  expect(events.map((event) => ('done' in event ? event.done : undefined))).toEqual([4, 6]);
  await cache.close();
  await fill();
  expect(runs).toBe(3);

  expect(await readdir(folder)).toEqual(['latents.safetensors']);
  const { weights } = await openSafetensors(path);
  const { data } = (await loadTensors(weights)).get('latents')!;
  expect(Array.from(float16ToFloat32(data as Uint16Array)).filter((_, i) => i % 2 === 0)).toEqual(order);
  await fill({ encoder: () => Promise.reject(new Error('a complete file needs no encoder')) });
  expect(warnings()).toEqual([]);
});

it('has the same bytes, however it came to be', async () => {
  await fill();
  const whole = await readFile(path);
  await rm(path);
  for (const picture of [7, 2, 5, 0]) {
    const cache = await LatentsCache.open(options());
    await cache.read(seen(picture));
    await cache.close();
  }
  await fill();
  expect((await readFile(path)).equals(whole)).toBe(true);
});

it('serves trainings of another order by the order that it has', async () => {
  const cache = await LatentsCache.open(options());
  await cache.read(seen(order[0]!));
  await cache.close();
  const bytes = await readFile(path);
  await fill({ seed: 12_345 });
  expect(runs).toBe(3);
  expect((await readFile(path)).subarray(0, 200).equals(bytes.subarray(0, 200))).toBe(true);
  await fill();
  expect(runs).toBe(3);
});

it('keeps what is sound of a damaged file, and encodes the rest again', async () => {
  await fill();
  const whole = await readFile(path);
  const head = 8 + whole.readUInt32LE(0);
  const latents = head + 3 * 4;
  const cases: [name: string, damage: () => Promise<void>, encoded: number, said: RegExp][] = [
    ['cut', () => truncate(path, whole.length - 3), 1, /cut off, wrong checksums: 1\); 2 of its 3/],
    [
      'too long',
      () => truncate(path, whole.length + 5),
      0,
      /is damaged \(it is too long\); 3 of its 3 parts/,
    ],
    ['a bit', () => overwrite(latents, Uint8Array.of(whole[latents]! ^ 1)), 1, /wrong checksums: 1/],
    ['zeros', () => overwrite(latents, new Uint8Array(40)), 3, /wrong checksums: 3\); 0 of its 3/],
    ['a checksum', () => overwrite(head, Uint8Array.of(1, 2, 3)), 1, /wrong checksums: 1/],
    ['no header', () => overwrite(0, new Uint8Array(head)), 0, /\(its beginning is lost\); 3 of its 3 parts/],
    ['a broken header', () => overwrite(20, Uint8Array.of(255)), 0, /\(its beginning is lost\); 3 of its 3/],
    [
      'nothing but zeros',
      () => writeFile(path, Buffer.alloc(whole.length)),
      3,
      /beginning is lost\); 0 of its 3/,
    ],
    ['zeros and too short', () => writeFile(path, Buffer.alloc(100)), 3, /lost, it is cut off\); 0 of its 3/],
  ];
  for (const [name, damage, encoded, said] of cases) {
    await damage();
    runs = 0;
    events = [];
    await fill();
    expect([name, runs, warnings()]).toEqual([name, encoded, [expect.stringMatching(said)]]);
    expect([name, (await readFile(path)).equals(whole)]).toEqual([name, true]);
  }
  for (const size of [0, 20, head]) {
    await truncate(path, size);
    events = [];
    await fill();
    expect(warnings()).toEqual([]);
    expect((await readFile(path)).equals(whole)).toBe(true);
  }
});

it('refuses the latents of something else, and leaves other files alone', async () => {
  await fill();
  const other = LatentsCache.open(options({ description: { pictures: 'letters' } }));
  await expect(other).rejects.toThrow(UsageError);
  await expect(other).rejects.toThrow(
    /its pictures is "numbers", expected "letters"; delete it or name another/,
  );
  await expect(LatentsCache.open(options({ count: 11 }))).rejects.toThrow(/another number of pictures/);
  for (const content of ['a picture of somebody', '\x89PNG\r\n\x1a\n'.repeat(100)]) {
    await writeFile(path, content);
    const foreign = LatentsCache.open(options());
    await expect(foreign).rejects.toThrow(InputError);
    await expect(foreign).rejects.toThrow(/is no file of latents; delete it or name another file/);
    expect(await readFile(path, 'utf8')).toBe(content);
  }
  expect(await readdir(folder)).toEqual(['latents.safetensors']);
});

it('is filled by one at a time, and read by many once it is complete', async () => {
  const first = await LatentsCache.open(options());
  await expect(LatentsCache.open(options())).rejects.toThrow(/in use by process/);
  await first.read(seen(...order));
  const second = await LatentsCache.open(options());
  expect(second.done).toBe(COUNT);
  await first.close();
  await second.close();
});

it('stops at once when it is asked to, and keeps what it has', async () => {
  const stop = new AbortController();
  let hang = false;
  const slow: Executable = {
    ...encoder,
    run: (inputs, { signal } = {}) =>
      hang
        ? new Promise((_, reject) => signal!.addEventListener('abort', () => reject(signal!.reason)))
        : encoder.run(inputs),
  };
  const cache = await LatentsCache.open(options({ signal: stop.signal, encoder: async () => slow }));
  await cache.read(seen(order[0]!));
  hang = true;
  const reading = cache.read(seen(...order));
  setTimeout(() => stop.abort(), 20);
  await expect(reading).rejects.toThrow(/abort/);
  await cache.close();
  runs = 0;
  await fill();
  expect(runs).toBe(2);
});

it('says so when the disk is full, and goes on afterwards', async () => {
  const cache = await LatentsCache.open(options());
  await cache.read(seen(order[0]!));
  await cache.close();
  const { size } = await stat(path);
  const full = await LatentsCache.open(options());
  const probe = await open(path, 'r');
  const noSpace = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
  const write = vi.spyOn(Object.getPrototypeOf(probe), 'write').mockRejectedValue(noSpace);
  await probe.close();
  const error: unknown = await full.read(seen(order[5]!)).catch((error) => error);
  expect(error).toBeInstanceOf(InputError);
  expect((error as Error).message).toBe(
    `cannot write ${path}: the disk is full; free some space or choose another folder`,
  );
  write.mockRestore();
  await full.close();
  expect((await stat(path)).size).toBe(size);
  runs = 0;
  await fill();
  expect(runs).toBe(2);
});

it('keeps pictures in each of their variants, in the order of the passes that show them', async () => {
  const varied: PictureSource = {
    ...source,
    variety: { crop: true, flip: true },
    pixels: async (indices, views) =>
      Float32Array.from(
        indices.flatMap((index, i) => {
          const { position, flipped } = views![i]!;
          return [flipped ? -index : index, position, ...new Array(10).fill(0)];
        }),
      ),
  };
  const order = new ExampleOrder({ source: varied, seed: SEED, batch: 5, variants: 2 });
  const cache = await LatentsCache.open(
    options({
      source: varied,
      count: 2 * COUNT,
      encounters: (seed) => new ExampleOrder({ source: varied, seed, batch: 1, variants: 2 }).encounters(),
    }),
  );
  const passes: Map<number, number[]>[] = [];
  for (const steps of [
    [0, 1],
    [2, 3],
    [4, 5],
  ]) {
    const pass = new Map<number, number[]>();
    for (const step of steps) {
      const batch = order.batch(step);
      const latents = await cache.read(batch);
      for (const [i, { picture }] of batch.entries()) pass.set(picture, [...latents.slice(2 * i, 2 * i + 2)]);
    }
    passes.push(pass);
    // A batch of five touches no more than three blocks of four.
    if (steps[0] === 0) expect(runs).toBeLessThanOrEqual(3);
  }
  const [first, second, third] = passes as [
    Map<number, number[]>,
    Map<number, number[]>,
    Map<number, number[]>,
  ];
  expect([runs, cache.done]).toEqual([5, 20]);
  for (let picture = 1; picture < COUNT; picture++) {
    // Both directions, cut elsewhere, and then the same again.
    expect(first.get(picture)![0]).toBe(-second.get(picture)![0]!);
    expect(Math.abs(first.get(picture)![0]!)).toBe(picture);
    expect(first.get(picture)![1]).not.toBe(second.get(picture)![1]);
    expect(third.get(picture)).toEqual(first.get(picture));
  }
  await cache.close();
});
