/** `lcm pull` as a process: what it says while it waits, and how it ends. */
import type { ChildProcess } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { type HubServer, sha256, startHub } from '../hub/hub-server.ts';
import { jsonLines, tinyModel, workspace } from './lcm.ts';

const ID = 'someone/tiny-lcm';
const UNET = 'unet/diffusion_pytorch_model.safetensors';

const { at, run, runWith } = workspace({ forEachTest: true });
let hub: HubServer;
beforeEach(async () => {
  const paths = readdirSync(tinyModel, { recursive: true, encoding: 'utf8' });
  const files = paths.filter((path) => statSync(join(tinyModel, path)).isFile());
  hub = await startHub(ID, new Map(files.map((path) => [path, readFileSync(join(tinyModel, path))])));
  vi.stubEnv('HF_ENDPOINT', hub.endpoint);
  vi.stubEnv('HF_HOME', at('home'));
  vi.stubEnv('HF_HUB_OFFLINE', '');
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
});

it('says why it waits, and goes on', async () => {
  hub.misbehaviour = { refusal: { status: 429, headers: { 'Retry-After': '2' }, times: 1 } };
  const { code, stdout, stderr } = await run('pull', ID);
  expect(code).toBe(0);
  expect(stderr).toContain('waiting 2 s: the hub asks for it: it has had too many requests (429)\n');
  expect(readFileSync(join(stdout.trim(), UNET))).toEqual(hub.files.get(UNET));

  hub.misbehaviour = { refusal: { status: 503, headers: { 'Retry-After': '1' }, times: 1 } };
  const again = await run('pull', ID, '--json');
  const reason = 'the hub asks for it: it answers with an error (503)';
  expect(jsonLines(again.stdout)[0]).toEqual({ type: 'waiting', seconds: 1, reason });
});

it.each([
  ['a file to go on', { drip: { after: 100_000, times: 1 } }, 100_000],
  ['an answer', { endless: 'silence' as const }, undefined],
])('ends at once at Ctrl-C while it waits for %s', async (_, misbehaviour, arrived) => {
  hub.misbehaviour = misbehaviour;
  const partial = at(
    'home/hub/models--someone--tiny-lcm/blobs',
    `${sha256(hub.files.get(UNET)!)}.incomplete`,
  );
  const size = () => statSync(partial, { throwIfNoEntry: false })?.size;
  let requests = Number.NaN;
  const begun = async (child: ChildProcess) => {
    await vi.waitFor(() => {
      expect(hub.requests.length).toBeGreaterThan(0);
      expect(size()).toBe(arrived);
    }, 60_000);
    requests = hub.requests.length;
    child.kill('SIGINT');
  };
  const { code, stderr } = await runWith({ begun: (child) => void begun(child) }, 'pull', ID);
  // It would ask again after thirty seconds.
  expect(hub.requests).toHaveLength(requests);
  expect(code).toBe(130);
  expect(stderr).toBe('lcm: cancelled\n');
  expect(size()).toBe(arrived);

  hub.misbehaviour = {};
  hub.requests.length = 0;
  const again = await run('pull', ID);
  expect(again.code).toBe(0);
  expect(hub.requests.find(({ host }) => host === 'cdn')?.range).toBe(`bytes=${arrived ?? 0}-`);
});
