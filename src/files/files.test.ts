/** What every kind of folder does. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { memoryFiles } from './blobs.ts';
import { type Files, jsonObjectIn, sourceIn, textIn, within } from './files.ts';
import { httpFiles } from './http.ts';
import { folderFiles } from './node/folder.ts';

const folder = mkdtempSync(join(tmpdir(), 'files-'));
const content: Record<string, Uint8Array<ArrayBuffer>> = {
  'model_index.json': new TextEncoder().encode('{"a": 1}'),
  'unet/ein Wort.txt': new TextEncoder().encode('\ufeffWörter'),
  'unet/weights': Uint8Array.from({ length: 1000 }, (_, i) => i % 251),
  'unet/latin1.txt': Uint8Array.of(0x66, 0xe4),
};
const names = { '': ['model_index.json', 'unet'], unet: ['ein Wort.txt', 'weights', 'latin1.txt'] };

const server = createServer((request, response) => {
  const path = decodeURIComponent(request.url!.slice('/model/'.length));
  const bytes = content[path];
  if (!bytes) return response.writeHead(path === 'broken' ? 500 : 404).end();
  const range = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '');
  const part = range ? bytes.slice(Number(range[1]), Number(range[2]) + 1) : bytes;
  response.writeHead(range ? 206 : 200, { 'content-length': part.byteLength });
  return response.end(request.method === 'HEAD' ? undefined : part);
});

beforeAll(async () => {
  mkdirSync(join(folder, 'unet'));
  for (const [path, bytes] of Object.entries(content)) writeFileSync(join(folder, path), bytes);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  rmSync(folder, { recursive: true });
  server.close();
});

const address = () => `http://127.0.0.1:${(server.address() as AddressInfo).port}/model/`;
const kinds: [string, () => Files][] = [
  ['on this machine', () => folderFiles(folder)],
  ['in memory', () => memoryFiles(content)],
  ['on a server', () => httpFiles(address(), { names })],
];

describe.each(kinds)('files %s', (_, make) => {
  it('are listed by folder', async () => {
    expect([...(await make().list())].sort()).toEqual([...names['']].sort());
    expect([...(await make().list('unet'))].sort()).toEqual([...names.unet].sort());
    expect(await make().list('vae')).toEqual([]);
  });

  it('are read whole, as texts and as JSON, and are undefined where there are none', async () => {
    expect(new Uint8Array((await make().bytes('unet/weights'))!)).toEqual(content['unet/weights']);
    expect(await textIn(make(), 'unet/ein Wort.txt')).toBe('Wörter');
    expect(await jsonObjectIn(make(), 'model_index.json')).toEqual({ a: 1 });
    expect(await make().bytes('unet/config.json')).toBeUndefined();
    expect(await make().open('vae/weights')).toBeUndefined();
    await expect(jsonObjectIn(make(), 'vae/config.json')).rejects.toThrow(/vae\/config\.json: there is no/);
    await expect(textIn(make(), 'unet/latin1.txt')).rejects.toThrow(/latin1\.txt is not a text in UTF-8/);
  });

  it('are refused when they are larger than expected', async () => {
    const refused = make().bytes('unet/weights', 999);
    await expect(refused).rejects.toThrow(InputError);
    await expect(refused).rejects.toThrow(/weights is larger than the 999 bytes/);
  });

  it('are read in ranges', async () => {
    const source = await sourceIn(make(), 'unet/weights');
    expect(source.size).toBe(1000);
    expect(source.name.endsWith('unet/weights')).toBe(true);
    expect(await source.read(250, 4)).toEqual(Uint8Array.of(250, 0, 1, 2));
    expect(await source.read(0, 1000)).toEqual(content['unet/weights']);
    expect(await source.read(7, 0)).toEqual(new Uint8Array());
    await expect(source.read(998, 4)).rejects.toThrow(InputError);
  });

  it('have folders that are such folders themselves', async () => {
    const unet = within(make(), 'unet');
    expect([...(await unet.list())].sort()).toEqual([...names.unet].sort());
    expect((await sourceIn(unet, 'weights')).size).toBe(1000);
    expect(unet.location.endsWith('/unet')).toBe(true);
    await expect(sourceIn(unet, 'nothing')).rejects.toThrow(/unet\/nothing: there is no such file/);
  });
});

describe('files on a server', () => {
  it('say what the server says', async () => {
    await expect(httpFiles(address()).bytes('broken')).rejects.toThrow(/broken: the server answers 500/);
    const nobody = httpFiles('http://127.0.0.1:1/');
    await expect(nobody.bytes('a')).rejects.toThrow(/the server cannot be reached/);
  });

  it('are read in ranges of servers that know none, and end with the signal', async () => {
    const whole: typeof fetch = async (input, init) => fetch(input, { ...init, headers: {} });
    const source = await sourceIn(httpFiles(address(), { fetch: whole }), 'unet/weights');
    expect(await source.read(3, 2)).toEqual(Uint8Array.of(3, 4));
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(httpFiles(address(), { signal }).bytes('model_index.json')).rejects.toThrow('enough');
  });
});
