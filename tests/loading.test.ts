/** Loading a model: downloaded when that is asked for, told of as it goes, ended by a signal; and what it then says of itself. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type LoadProgress, loadPipeline } from '../src/index.ts';
import { type HubServer, startHub } from './hub/hub-server.ts';

const ID = 'someone/tiny-lcm';
const golden = fileURLToPath(new URL('fixtures/golden', import.meta.url));
const model = join(golden, 'pipelines/lcm/model');

let cache: string;
let hub: HubServer;
beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), 'loading-'));
  const files = readdirSync(model, { recursive: true, encoding: 'utf8' })
    .filter((path) => statSync(join(model, path)).isFile())
    .map((path): [string, Buffer] => [path.replaceAll('\\', '/'), readFileSync(join(model, path))]);
  hub = await startHub(ID, new Map(files));
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HUB_CACHE', cache);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(cache, { recursive: true, force: true });
});

it('downloads a model of the hub when that is asked for, and only then', async () => {
  await expect(loadPipeline(ID)).rejects.toMatchObject({
    code: 'not-downloaded',
    path: ID,
    message: expect.stringMatching(/download it with "lcm pull .*", or load it with { download: true }$/),
  });
  expect(hub.requests).toEqual([]);
  const told: LoadProgress[] = [];
  const onProgress = (progress: LoadProgress) => told.push(progress);
  await using pipeline = await loadPipeline(ID, { download: true, onProgress, threads: 1 });
  expect(told.every(({ stage }) => stage === 'download')).toBe(true);
  const { done, total } = told.at(-1)!;
  expect(told.at(-1)).toEqual({ stage: 'download', name: ID, done: total, total });
  expect(done).toBeGreaterThan(10_000);
  expect(pipeline.info.name).toBe(ID);
  const { length } = hub.requests;
  await (await loadPipeline(ID, { download: true })).dispose();
  expect(hub.requests.length).toBe(length);
});

it('tells of the weights that the first picture waits for', async () => {
  const told: LoadProgress[] = [];
  await using pipeline = await loadPipeline(model, {
    threads: 1,
    onProgress: (progress) => told.push(progress),
  });
  expect(told).toEqual([]);
  await pipeline.generate({ prompt: 'a fox', steps: 1, width: 64, height: 64 });
  expect(new Set(told.map((progress) => 'network' in progress && progress.network))).toEqual(
    new Set(['text encoder', 'UNet', 'VAE decoder']),
  );
  const done = told.map((progress) => progress.done);
  expect(done).toEqual(done.toSorted((a, b) => a - b));
  expect(told.at(-1)!.done).toBe(told.at(-1)!.total);
  const { length } = told;
  await pipeline.generate({ prompt: 'a fox', steps: 1, width: 64, height: 64 });
  expect(told.length).toBe(length);
});

it('ends a download by the signal, and goes on from there', async () => {
  hub.misbehaviour = { drip: { after: 1000, times: 1 } };
  const stop = new AbortController();
  const reason = new Error('no longer wanted');
  const loading = loadPipeline(ID, {
    download: true,
    signal: stop.signal,
    onProgress: ({ done }) => done > 0 && setTimeout(() => stop.abort(reason), 20),
  });
  await expect(loading).rejects.toBe(reason);
  hub.misbehaviour = {};
  await (await loadPipeline(ID, { download: true })).dispose();
  await expect(loadPipeline(model, { signal: stop.signal })).rejects.toBe(reason);
});

it('says what the model is, and what a request gets that says nothing', async () => {
  const infoOf = async (...args: Parameters<typeof loadPipeline>) => {
    await using pipeline = await loadPipeline(...args);
    return pipeline.info;
  };
  expect(await infoOf()).toMatchObject({
    name: 'postcards',
    pipelineClass: 'LatentConsistencyModelPipeline',
    isConsistency: true,
    scheduler: 'lcm',
    steps: 4,
    size: { width: 64, height: 64 },
    parameters: expect.any(Number),
  });
  const sd = join(golden, 'pipelines/sd/model');
  expect(await infoOf(sd)).toMatchObject({ name: sd, isConsistency: false, steps: 50, guidanceScale: 7.5 });
  const unet = join(golden, 'lora/unet');
  const lora = join(golden, 'lora/lcm_kohya.safetensors');
  const adapted = await infoOf(sd, { unet, loras: [`${lora}:0.5`] });
  expect(adapted).toMatchObject({ scheduler: 'lcm', isConsistency: true, steps: 4, guidanceScale: 1 });
});
