/** Downloads from a hub on this machine: what arrives, what is asked for, and what happens when things go wrong. */
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statfsSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { pullCommand } from '../../src/cli/commands/pull.ts';
import { loadComponents } from '../../src/components/components.ts';
import { diffusersFiles } from '../../src/components/node/diffusers-files.ts';
import { InputError, UsageError } from '../../src/errors.ts';
import { cachedModel, findCachedModel } from '../../src/hub/node/cache.ts';
import { type PullOptions, type PullProgress, pullModel } from '../../src/hub/node/pull.ts';
import type { HubWait } from '../../src/hub/node/requests.ts';
import type { HubSettings, HubToken } from '../../src/hub/node/settings.ts';
import { COMMIT, gitHash, type HubServer, sha256, startHub } from './hub-server.ts';

const ID = 'someone/tiny-lcm';
const model = fileURLToPath(new URL('../fixtures/golden/pipelines/lcm/model', import.meta.url));
const UNET = 'unet/diffusion_pytorch_model.safetensors';

let cache: string;
let hub: HubServer;
beforeEach(async () => {
  cache = mkdtempSync(join(tmpdir(), 'hub-'));
  const files = new Map(
    readdirSync(model, { recursive: true, encoding: 'utf8' })
      .filter((path) => statSync(join(model, path)).isFile())
      .map((path): [string, Buffer] => [path.replaceAll('\\', '/'), readFileSync(join(model, path))]),
  );
  for (const path of [
    'README.md',
    'model.ckpt',
    'unet/diffusion_pytorch_model.bin',
    'unet/diffusion_flax_model.msgpack',
    'unet/diffusion_pytorch_model.fp16.safetensors',
    'unet/model.onnx',
    'safety_checker/model.safetensors',
  ]) {
    files.set(path, Buffer.from('not needed'));
  }
  hub = await startHub(ID, files);
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await hub.close();
  rmSync(cache, { recursive: true, force: true });
});

const settings = (changes: Partial<HubSettings> = {}): HubSettings => ({
  endpoint: hub.endpoint,
  token: undefined,
  cache,
  offline: false,
  timeouts: { answer: 5, download: 5 },
  ...changes,
});
/** Gives up soon, and calls a connection dead that sends less than 250 bytes in that time. */
const impatient = () => settings({ timeouts: { answer: 0.25, download: 0.25 } });
const pull = (options: PullOptions = {}) =>
  pullModel(ID, { settings: settings(), retryDelays: [], ...options });
const failure = (options?: PullOptions) =>
  pull(options).then(
    () => Promise.reject(new Error('it should have failed')),
    (error: unknown) => error as Error,
  );
const root = () => join(cache, 'models--someone--tiny-lcm');
const blobs = () => readdirSync(join(root(), 'blobs')).sort();
const bytes = (path: string) => hub.files.get(path)!;
/** Cuts the connection each time another `after` bytes of the UNet have arrived, `times` times. */
function cutting(after: number, times: number): Pick<PullOptions, 'onProgress'> {
  hub.misbehaviour = { ...hub.misbehaviour, cut: { after, times } };
  let begin: number | undefined;
  let cuts = 0;
  return {
    onProgress({ path, received }) {
      if (path !== UNET) return;
      begin ??= received;
      const arrived = hub.misbehaviour.ignoreRanges ? after : (cuts + 1) * after;
      if (cuts === times || received - begin < arrived) return;
      cuts++;
      hub.cutNow();
    },
  };
}
/** Paths of files that were fetched, without the interface's. */
const fetched = () => hub.requests.filter(({ path }) => path.includes('/resolve/'));

describe('a model from the hub', () => {
  it('arrives in the layout of the shared cache, without what is not needed', async () => {
    const folder = await pull();
    expect(folder).toBe(join(root(), 'snapshots', COMMIT));
    const inModel = readdirSync(model, { recursive: true, encoding: 'utf8' }).filter((path) =>
      statSync(join(model, path)).isFile(),
    );
    const arrived = readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((path) =>
      statSync(join(folder, path)).isFile(),
    );
    expect(arrived.sort()).toEqual(inModel.sort());
    expect(fetched()).toHaveLength(inModel.length);
    for (const path of arrived) expect(readFileSync(join(folder, path))).toEqual(bytes(path));
    expect(readFileSync(join(root(), 'refs', 'main'), 'utf8')).toBe(COMMIT);
    expect(readlinkSync(join(folder, UNET))).toBe(join('..', '..', '..', 'blobs', sha256(bytes(UNET))));
    const index = readlinkSync(join(folder, 'model_index.json'));
    expect(index).toBe(join('..', '..', 'blobs', gitHash(bytes('model_index.json'))));
    const { unet } = await loadComponents(await diffusersFiles(folder));
    expect(unet.weights.size).toBeGreaterThan(0);
  });

  it('is asked for once', async () => {
    const folder = await pull();
    const before = fetched().length;
    expect(await pull({ revision: COMMIT })).toBe(folder);
    expect(await pull()).toBe(folder);
    expect(fetched()).toHaveLength(before);
    expect(await cachedModel(ID, { settings: settings() })).toBe(folder);
  });

  it('tells how far it has got', async () => {
    const seen: PullProgress[] = [];
    await pull({ onProgress: (progress) => seen.push(progress) });
    const last = seen.at(-1)!;
    expect(last.received).toBe(last.size);
    expect(seen.some(({ path }) => path === UNET)).toBe(true);
    expect(seen.map(({ received }) => received)).toEqual(
      seen.map(({ received }) => received).sort((a, b) => a - b),
    );
  });

  it('may be another variant, or single files', async () => {
    hub.files.set('vae/diffusion_pytorch_model.fp16.safetensors', Buffer.from('half'));
    hub.files.set('text_encoder/model.fp16.safetensors', Buffer.from('half a text encoder'));
    const folder = await pull({ variant: 'fp16' });
    expect(readdirSync(join(folder, 'vae')).sort()).toEqual([
      'config.json',
      'diffusion_pytorch_model.fp16.safetensors',
    ]);
    expect(readdirSync(await pull({ files: ['README.md'] }))).toContain('README.md');
    expect((await failure({ variant: 'bf16' })).message).toMatch(
      /someone\/tiny-lcm\/unet has no weights of variant "bf16"/,
    );
    expect((await failure({ files: ['other.safetensors'] })).message).toMatch(
      /no file other\.safetensors; it has model_index\.json.* and 9 more/,
    );
  });

  it('is downloaded once where two paths have the same content', async () => {
    hub.files.set('scheduler/scheduler_config.json', bytes('model_index.json'));
    hub.files.set('vae/diffusion_pytorch_model.safetensors', bytes(UNET));
    let last: PullProgress | undefined;
    const folder = await pull({
      onProgress: (progress) => {
        last = progress;
      },
    });
    expect(readFileSync(join(folder, 'vae/diffusion_pytorch_model.safetensors'))).toEqual(bytes(UNET));
    expect(hub.requests.filter(({ host }) => host === 'cdn')).toHaveLength(2);
    expect(last?.received).toBe(last?.size);
  });

  it('can be downloaded twice at once', async () => {
    const [a, b] = await Promise.all([pull(), pull()]);
    expect(a).toBe(b);
    expect(readFileSync(join(a, UNET))).toEqual(bytes(UNET));
    expect(blobs().filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  it('is what the command downloads, as the environment says', async () => {
    vi.stubEnv('HF_ENDPOINT', `${hub.endpoint}/`);
    vi.stubEnv('HF_HUB_CACHE', cache);
    vi.stubEnv('HF_HUB_OFFLINE', '0');
    vi.stubEnv('HF_TOKEN', 'a-token');
    const written = vi.spyOn(process.stdout, 'write').mockReturnValue(true);
    await pullCommand(new AbortController().signal).parseAsync([ID], { from: 'user' });
    expect(written.mock.calls.flat()).toContain(`${join(root(), 'snapshots', COMMIT)}\n`);
    written.mockRestore();
    expect(hub.requests[0]!.authorization).toBe('Bearer a-token');
  });
});

describe('a token', () => {
  const secret: HubToken = { kind: 'environment', variable: 'HF_TOKEN', value: 'secret' };

  it('goes to the hub and to nobody else', async () => {
    hub.misbehaviour = { token: 'secret' };
    await pull({ settings: settings({ token: secret }) });
    const cdn = hub.requests.filter(({ host }) => host === 'cdn');
    expect(cdn.length).toBeGreaterThan(0);
    for (const { authorization } of cdn) expect(authorization).toBeUndefined();
  });

  it('goes to no other host that the hub names for its next page', async () => {
    const other = await startHub(ID, hub.files);
    hub.misbehaviour = {
      token: 'secret',
      nextPage: `${other.endpoint}/api/models/${ID}/tree/${COMMIT}?cursor=1`,
    };
    await pull({ settings: settings({ token: secret }) });
    expect(other.requests).toHaveLength(1);
    expect(other.requests[0]!.authorization).toBeUndefined();
    await other.close();
  });

  it('is that of "hf auth login" where the environment has none', async () => {
    hub.misbehaviour = { token: 'hf_login' };
    const path = join(cache, 'token');
    writeFileSync(path, 'hf_login\n');
    await pull({ settings: settings({ token: { kind: 'file', path } }) });
    rmSync(path);
    const error = await failure({ settings: settings({ token: { kind: 'file', path } }) });
    expect(error.message).toMatch(/has no model.*log in with "hf auth login"/);
  });

  it('that the hub does not know is named, but not told', async () => {
    hub.misbehaviour = { token: 'secret' };
    const path = join(cache, 'token');
    writeFileSync(path, 'hf_expired');
    for (const token of [
      { kind: 'file', path },
      { ...secret, value: 'hf_expired' },
    ] as const) {
      const { message } = await failure({ settings: settings({ token }) });
      expect(message).toMatch(
        /does not know the token in (HF_TOKEN|.*\/token) \(401\); (log in again|set HF_TOKEN)/,
      );
      expect(message).not.toContain('hf_expired');
    }
  });

  it('that may not read the model is named', async () => {
    hub.misbehaviour = { refusal: { status: 403 } };
    const { message } = await failure({ settings: settings({ token: secret }) });
    expect(message).toMatch(/the token in HF_TOKEN may not read it \(403\)/);
  });

  it.each([
    ['a folder', (path: string) => mkdirSync(path), /is a folder; expected a file/],
    ['a large file', (path: string) => writeFileSync(path, 'x'.repeat(20_000)), /larger than/],
    [
      'two words',
      (path: string) => writeFileSync(path, 'no token'),
      /token in .*token is none.*hf auth login/,
    ],
  ])('is not looked for in %s', async (_, make, message) => {
    const path = join(cache, 'token');
    make(path);
    const error = await failure({ settings: settings({ token: { kind: 'file', path } }) });
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
    expect(error.message).not.toContain('no token');
    expect(hub.requests).toEqual([]);
  });
});

describe('a connection that is cut', () => {
  const AFTER = 100_000;

  it('is taken up again where it was cut', async () => {
    const folder = await pull({ retryDelays: [1], ...cutting(AFTER, 2) });
    expect(readFileSync(join(folder, UNET))).toEqual(bytes(UNET));
    const ranges = hub.requests
      .filter(({ host, path }) => host === 'cdn' && path.includes('unet'))
      .map(({ range }) => range);
    expect(ranges).toEqual(['bytes=0-', `bytes=${AFTER}-`, `bytes=${2 * AFTER}-`]);
  });

  it('leaves what has arrived, and a later attempt goes on from there', async () => {
    const error = await failure(cutting(AFTER, 1));
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/connection was cut.*kept.*goes on from there/);
    const partial = join(root(), 'blobs', `${sha256(bytes(UNET))}.incomplete`);
    expect(statSync(partial).size).toBe(AFTER);
    expect(await findCachedModel(ID, { settings: settings() })).toBeUndefined();

    hub.requests.length = 0;
    const folder = await pull();
    expect(
      hub.requests.find(({ path }) => path.includes('unet') && path.endsWith('safetensors'))?.range,
    ).toBe(`bytes=${AFTER}-`);
    expect(readFileSync(join(folder, UNET))).toEqual(bytes(UNET));
    expect(blobs().filter((name) => name.endsWith('.incomplete'))).toEqual([]);
  });

  it('is begun anew by a server that knows no ranges', async () => {
    hub.misbehaviour = { ignoreRanges: true };
    const { onProgress } = cutting(AFTER, 1);
    let last: PullProgress | undefined;
    const folder = await pull({
      retryDelays: [1],
      onProgress(progress) {
        last = progress;
        onProgress?.(progress);
      },
    });
    expect(readFileSync(join(folder, UNET))).toEqual(bytes(UNET));
    expect(hub.requests.filter(({ range }) => range === `bytes=${AFTER}-`)).toHaveLength(2);
    expect(last?.received).toBe(last?.size);
  });

  it('is given up when it does not get on', async () => {
    hub.misbehaviour = { cut: { after: 0, times: Number.POSITIVE_INFINITY } };
    const { message } = await failure({ retryDelays: [1, 1] });
    expect(message).toMatch(/(connection was cut|cannot be reached).*same command goes on/);
    expect(hub.requests.filter(({ host }) => host === 'cdn')).toHaveLength(3);
  });
});

describe('a server that is slow', () => {
  const AFTER = 100_000;
  const ranges = () => hub.requests.filter(({ host }) => host === 'cdn').map(({ range }) => range);

  it.each([
    ['stalls', undefined, /nothing more came within 0\.25 s/],
    ['sends a byte now and then', 20, /only 1000\d\d bytes came|only \d\d? bytes came/],
  ])('and %s is asked again for the rest', async (_, milliseconds, reason) => {
    hub.misbehaviour = { drip: { after: AFTER, milliseconds, times: 1 } };
    const waits: HubWait[] = [];
    const folder = await pull({
      settings: impatient(),
      retryDelays: [1],
      onWait: (wait) => waits.push(wait),
    });
    expect(readFileSync(join(folder, UNET))).toEqual(bytes(UNET));
    expect(waits).toHaveLength(1);
    expect(waits[0]!.reason).toMatch(reason);
    const begin = Number(/^bytes=(\d+)-$/.exec(ranges()[1]!)?.[1]);
    expect(begin).toBeGreaterThanOrEqual(AFTER);
    expect(begin).toBeLessThan(AFTER + 1000);
  });

  it('is given up when it stays so, and what has arrived is kept', async () => {
    hub.misbehaviour = { drip: { after: 10, milliseconds: 20, times: Number.POSITIVE_INFINITY } };
    const error = await failure({ settings: impatient(), retryDelays: [1, 1] });
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/only \d+ bytes came in .*same command goes on/);
    expect(ranges()).toHaveLength(3);
    expect(blobs().filter((name) => name.endsWith('.incomplete'))).toHaveLength(1);
  });

  it('to answer at all is given up', async () => {
    hub.misbehaviour = { endless: 'silence' };
    const error = await failure({ settings: impatient(), retryDelays: [1] });
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/no answer came within 0\.25 s/);
    expect(hub.requests).toHaveLength(2);
  });

  it('because we are slow to write is none', async () => {
    const slowly = new Int32Array(new SharedArrayBuffer(4));
    // Longer than the limit, once for every piece of a file.
    const onProgress = () => void Atomics.wait(slowly, 0, 0, 300);
    const { size } = statSync(join(model, UNET));
    hub.files.set('unet/diffusion_pytorch_model.safetensors', Buffer.alloc(size, 1));
    await pull({ settings: impatient(), onProgress, files: [UNET] });
  });
});

describe('a hub that asks to wait', () => {
  const waitsFor = async (headers: Record<string, string>, status = 429) => {
    hub.misbehaviour = { refusal: { status, headers, times: 1 } };
    const waits: HubWait[] = [];
    await pull({ retryDelays: [1], files: ['model_index.json'], onWait: (wait) => waits.push(wait) });
    expect(waits).toHaveLength(1);
    return waits[0]!;
  };

  it.each([
    [{ 'Retry-After': '1' }, 429],
    [{ RateLimit: '"api";r=0;t=1', 'RateLimit-Policy': '"fixed window";"api";q=500;w=300' }, 429],
    [{ Date: 'Wed, 21 Oct 2015 07:27:59 GMT', 'Retry-After': 'Wed, 21 Oct 2015 07:28:00 GMT' }, 503],
  ])('is given the time: %j', async (headers, status) => {
    const begin = performance.now();
    const { seconds, reason } = await waitsFor(headers, status);
    expect(seconds).toBe(1);
    expect(reason).toMatch(/^the hub asks for it: it .*\((429|503)\)$/);
    expect(performance.now() - begin).toBeGreaterThan(990);
  });

  it.each<Record<string, string>>([
    { 'Retry-After': 'soon' },
    { 'Retry-After': '-5' },
    { 'Retry-After': '0' },
    {},
  ])('without saying how long is asked again after the usual time: %j', async (headers) => {
    expect(await waitsFor(headers)).toEqual({
      seconds: 0.001,
      reason: 'it has had too many requests (429)',
    });
  });

  it('longer than anybody waits is not waited for', async () => {
    hub.misbehaviour = { refusal: { status: 429, headers: { 'Retry-After': '3600' } } };
    const error = await failure({ retryDelays: [1] });
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(
      /too many requests \(429\) and asks to wait 3600 seconds, more than the 600/,
    );
    expect(hub.requests).toHaveLength(1);
  });

  it('is left at once when the work is cancelled', async () => {
    const controller = new AbortController();
    hub.misbehaviour = { refusal: { status: 429, headers: { 'Retry-After': '300' } } };
    const onWait = () => controller.abort(new Error('enough'));
    const error = await failure({ retryDelays: [1], signal: controller.signal, onWait });
    expect(error.message).toBe('enough');
  });
});

describe('what is not as it should be', () => {
  it('is taken up again: a file that ends early as if that were all', async () => {
    hub.misbehaviour = { truncate: { after: 100_000, times: 1 } };
    const folder = await pull({ retryDelays: [1] });
    expect(readFileSync(join(folder, UNET))).toEqual(bytes(UNET));
    hub.misbehaviour = { truncate: { after: 0, times: Number.POSITIVE_INFINITY } };
    rmSync(root(), { recursive: true });
    expect((await failure({ retryDelays: [1] })).message).toMatch(/ended after 0 of \d+ bytes.*same command/);
  });

  it('is refused: another part of a file than was asked for', async () => {
    await failure(cutting(1000, 1));
    hub.misbehaviour = { shiftRanges: true };
    expect((await failure()).message).toMatch(/sends another part of unet\/.* than was asked for/);
    hub.misbehaviour = {};
    expect(readFileSync(join(await pull(), UNET))).toEqual(bytes(UNET));
  });

  it.each([
    ['text', /sends more than 8\.00 MB in one answer/],
    ['compressed', /sends more than 8\.00 MB in one answer/],
    ['large pages', /sends more than 32\.0 MB about a model/],
    ['pages', /more than 500 pages/],
  ] as const)('is refused: %s without end', async (endless, message) => {
    hub.misbehaviour = { endless };
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
    expect(readdirSync(cache)).toEqual([]);
  });

  it('is refused: more files than any model has', async () => {
    const extraFiles = Array.from({ length: 50_001 }, (_, i) => ({
      type: 'file',
      path: `${i}`,
      size: 1,
      oid: COMMIT,
    }));
    hub.misbehaviour = { extraFiles };
    expect((await failure()).message).toMatch(/lists more than 50000 files/);
  });

  it.each([
    ['model_index.json', /model_index\.json is said to have 9\.01 PB; such a file has 16\.8 MB at most/],
    ['unet/config.json', /needs 9\.01 PB, but the disk/],
  ])('is refused: a size of %s that no disk has', async (path, message) => {
    hub.misbehaviour = { claimedSizes: { [path]: Number.MAX_SAFE_INTEGER } };
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
    expect(hub.requests.filter(({ path: asked }) => asked.endsWith(path))).toEqual([]);
  });

  it('is room for what has not arrived yet, and for no more', async () => {
    const path = 'unet/config.json';
    const { bavail, bsize } = statfsSync(cache);
    hub.misbehaviour = { claimedSizes: { [path]: bavail * bsize + 30e6 } };
    expect((await failure({ files: [path] })).message).toMatch(/but the disk of .* left; free some space/);
    const partial = join(root(), 'blobs', `${gitHash(bytes(path))}.incomplete`);
    mkdirSync(dirname(partial), { recursive: true });
    writeFileSync(partial, '');
    truncateSync(partial, 60e6);
    expect((await failure({ files: [path] })).message).toMatch(/ended after 60000000 of/);
  });

  it.each([
    [
      'a file and a folder of one name',
      { extraFiles: [{ type: 'file', path: 'unet', size: 1, oid: COMMIT }] },
    ],
    ['null for an answer', { answers: { revision: null } }],
    ['null for a list', { answers: { tree: null } }],
    ['null for a file', { answers: { tree: [null, { type: 'file' }] } }],
    ['a commit that is a path', { answers: { revision: { sha: '../../x' } } }],
  ])('is refused: %s', async (_, misbehaviour) => {
    hub.misbehaviour = misbehaviour;
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/answers in a way that is not understood .*: it[s ].*\. Is it a hub\?$/);
    expect(fetched()).toEqual([]);
  });

  it.each(['corrupt', 'a damaged beginning'] as const)('is refused: %s', async (what) => {
    const target = join(root(), 'blobs', sha256(bytes(UNET)));
    if (what === 'corrupt') {
      hub.misbehaviour = { corrupt: true };
    } else {
      await failure(cutting(1000, 1));
      writeFileSync(`${target}.incomplete`, Buffer.alloc(1000));
      hub.misbehaviour = {};
    }
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/unet\/diffusion_pytorch_model\.safetensors arrived damaged.*removed/);
    expect(blobs().filter((name) => name.startsWith(sha256(bytes(UNET))))).toEqual([]);
    expect(await findCachedModel(ID, { settings: settings() })).toBeUndefined();

    hub.misbehaviour = {};
    expect(readFileSync(join(await pull(), UNET))).toEqual(bytes(UNET));
  });

  it.each(['../../../escaped', '/etc/escaped', 'unet/../../escaped', 'a\\..\\b', ''])(
    'is refused to whoever asks for it: a file called %j',
    async (path) => {
      hub.misbehaviour = { extraFiles: [{ type: 'file', path, size: 1, oid: COMMIT }] };
      const error = await failure({ files: [path] });
      expect(error).toBeInstanceOf(InputError);
      expect(error.message).toMatch(/a path in someone\/tiny-lcm is called .*expected a plain name/);
      expect(fetched()).toEqual([]);
    },
  );

  it('is no obstacle: a file that nobody asks for and that cannot have its name here', async () => {
    const extraFiles = ['pictures/12:30.png', 'aux.py', '../../../escaped'].map((path) => ({
      type: 'file',
      path,
      size: 1,
      oid: COMMIT,
    }));
    hub.misbehaviour = { extraFiles };
    expect(readFileSync(join(await pull(), UNET))).toEqual(bytes(UNET));
    expect(readdirSync(cache)).toEqual(['models--someone--tiny-lcm']);
  });

  it.each<[string, object]>([
    ['a checksum that is a path', { type: 'file', path: 'a', size: 1, oid: '../../x' }],
    ['a size that is none', { type: 'file', path: 'a', size: -1, oid: COMMIT }],
    ['a file without a name', { type: 'file', size: 1, oid: COMMIT }],
  ])('is refused: %s', async (_, entry) => {
    hub.misbehaviour = { extraFiles: [entry] };
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/Is it a hub\?/);
  });

  it('is refused: a server that is no hub', async () => {
    hub.misbehaviour = { html: true };
    expect(await failure()).toMatchObject({
      name: 'InputError',
      message: expect.stringMatching(/Is it a hub/),
    });
  });

  it.each<[string, { status: number; code?: string }, RegExp]>([
    [
      'an unknown model',
      { status: 401, code: 'RepoNotFound' },
      /no model someone\/tiny-lcm \(401\).*HF_TOKEN/,
    ],
    [
      'an unknown model',
      { status: 404, code: 'RepoNotFound' },
      /no model someone\/tiny-lcm \(404\): check the name/,
    ],
    [
      'a gated model',
      { status: 403, code: 'GatedRepo' },
      /is gated: accept its terms at http.*someone\/tiny-lcm/,
    ],
    ['a model for some', { status: 403 }, /not everybody may read it; set HF_TOKEN.*log in.*\(403\)/],
    ['too many requests', { status: 429 }, /too many requests.*same command/],
    ['a broken server', { status: 503 }, /error \(503\)/],
    ['anything else', { status: 418 }, /refuses.*\(418\)/],
  ])('is reported: %s', async (_, refusal, message) => {
    hub.misbehaviour = { refusal };
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(message);
  });

  it('is reported: an unknown revision, and a hub that is not there', async () => {
    expect((await failure({ revision: 'v9' })).message).toMatch(/has no revision v9/);
    const nowhere = settings({ endpoint: 'http://127.0.0.1:9' });
    expect((await failure({ settings: nowhere })).message).toMatch(/127\.0\.0\.1:9: cannot be reached/);
  });

  it.each(['tiny-lcm', 'a/b/c', '../x', 'a/..', '-/b', 'a/b--c', 'datasets/a/b', ''])(
    'is no name of a model: %j',
    async (id) => {
      await expect(pullModel(id, { settings: settings() })).rejects.toThrow(UsageError);
      expect(hub.requests).toEqual([]);
    },
  );

  it.each(['../x', '', 'a b', '-x', 'refs/../..'])('is no revision: %j', async (revision) => {
    await expect(pull({ revision })).rejects.toThrow(UsageError);
    expect(hub.requests).toEqual([]);
  });
});

describe('a cache that cannot be written', () => {
  it('is named', async () => {
    const file = join(cache, 'a-file');
    writeFileSync(file, '');
    const error = await failure({ settings: settings({ cache: join(file, 'hub') }) });
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/cannot write to the cache .*a-file.*set HF_HUB_CACHE/);
  });
});

describe('without the hub', () => {
  const offline = () => settings({ offline: true });

  it('the model is what was downloaded before', async () => {
    const folder = await pull();
    hub.requests.length = 0;
    expect(await pull({ settings: offline() })).toBe(folder);
    expect(hub.requests).toEqual([]);
  });

  it('a model that was not is refused, with the way to get it', async () => {
    const error = await failure({ settings: offline(), revision: 'v2' });
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(
      /not in the cache.*"lcm pull someone\/tiny-lcm --revision v2", without HF_HUB_OFFLINE/,
    );
    expect(hub.requests).toEqual([]);
    await expect(cachedModel(ID, { settings: settings() })).rejects.toThrow(/"lcm pull someone\/tiny-lcm"/);
  });
});

describe('cancelling', () => {
  it('stops at once and keeps what has arrived', async () => {
    const controller = new AbortController();
    const AFTER = 50_000;
    hub.misbehaviour = { cut: { after: AFTER, times: 1 } };
    const onProgress = ({ path, received }: PullProgress) => {
      if (path === UNET && received > 0) controller.abort(new Error('enough'));
    };
    const error = await failure({ signal: controller.signal, onProgress });
    expect(error.message).toBe('enough');
    expect(blobs()).toContain(`${sha256(bytes(UNET))}.incomplete`);
    const asked = hub.requests.length;
    await expect(pull({ signal: controller.signal })).rejects.toThrow('enough');
    expect(hub.requests).toHaveLength(asked);
  });
});
