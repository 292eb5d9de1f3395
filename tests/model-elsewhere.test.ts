/** A model that lies in no folder of this machine draws what it draws from one. */
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { modelFilesIn } from '../src/components/diffusers-files.ts';
import { memoryFiles } from '../src/files/blobs.ts';
import type { Files } from '../src/files/files.ts';
import { httpFiles } from '../src/files/http.ts';
import { createNodeEngine, createPipeline, type Image, loadPipeline } from '../src/index.ts';
import { contentOf } from './in-memory.ts';

const folder = fileURLToPath(new URL('./fixtures/golden/pipelines/lcm/model', import.meta.url));
const content = contentOf(folder);
const names = Object.fromEntries(
  ['', 'unet', 'vae', 'text_encoder'].map((part) => [part, readdirSync(join(folder, part))]),
);

let asked: string[] = [];
const server = createServer((request, response) => {
  const bytes = content[decodeURIComponent(request.url!.slice(1))];
  if (!bytes) return response.writeHead(404).end();
  const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
  if (request.method === 'GET') asked.push(`${request.url} ${request.headers.range ?? 'whole'}`);
  const part = range ? bytes.subarray(Number(range[1]), Number(range[2]) + 1) : bytes;
  response.writeHead(range ? 206 : 200, { 'content-length': part.byteLength });
  return response.end(request.method === 'HEAD' ? undefined : part);
});
beforeAll(() => new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve)));
afterAll(() => server.close());

const request = { prompt: 'a fox', seed: 1, steps: 2 };

async function drawn(files: Files): Promise<readonly Image[]> {
  const pipeline = await createPipeline(await modelFilesIn(files), createNodeEngine({ threads: 1 }));
  try {
    return (await pipeline.generate(request)).images;
  } finally {
    await pipeline.dispose();
  }
}

it('from memory, and from a server by ranges, to the bit', async () => {
  const here = await loadPipeline(folder, { threads: 1 });
  const { images } = await here.generate(request);
  await here.dispose();
  expect(await drawn(memoryFiles(content))).toEqual(images);
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  asked = [];
  expect(await drawn(httpFiles(address, { names }))).toEqual(images);
  // Weights are fetched in ranges, each where it is needed, and never a whole file.
  const weights = asked.filter((line) => line.includes('.safetensors'));
  expect(weights.length).toBeGreaterThan(100);
  expect(weights.filter((line) => line.endsWith('whole'))).toEqual([]);
});
