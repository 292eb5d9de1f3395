/**
 * A server on this machine that speaks the hub's protocol: revisions, trees in pages, and files that are sent at
 * once or, when they are large, from another host. It can be told to misbehave.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Writable } from 'node:stream';
import { createGzip } from 'node:zlib';

export const COMMIT = '0123456789abcdef0123456789abcdef01234567';

export interface Misbehaviour {
  /** The token without which nothing is answered. */
  token?: string;
  /** For requests to the interface, instead of an answer; `times` of them, all by default. */
  refusal?: { status: number; code?: string; headers?: Record<string, string>; times?: number };
  /** Send so many bytes of a large file, then wait for `cutNow`; as often as `times` says. With 0, cut at once. */
  cut?: { after: number; times: number };
  /** Send so many bytes of a large file as if there were no more, as often as `times` says. */
  truncate?: { after: number; times: number };
  /** Send so many bytes of a large file, then a byte every `milliseconds`, or none; as often as `times` says. */
  drip?: { after: number; milliseconds?: number; times: number };
  /** Change a byte of large files. */
  corrupt?: boolean;
  /** Send whole files whatever was asked for. */
  ignoreRanges?: boolean;
  /** Send from the byte before the one that was asked for. */
  shiftRanges?: boolean;
  /** The address of the second page of the list of files. */
  nextPage?: string;
  /** In the list of files. */
  extraFiles?: object[];
  /** Sizes that the list of files gives, by path. */
  claimedSizes?: Record<string, number>;
  /** What the interface answers instead: text without end (compressed or not), pages without end (empty or large), or nothing. */
  endless?: 'text' | 'compressed' | 'pages' | 'large pages' | 'silence';
  /** In place of the answers about the revision and the list of files. */
  answers?: { revision?: unknown; tree?: unknown };
  /** In place of any answer. */
  html?: boolean;
}

export interface LoggedRequest {
  readonly host: 'hub' | 'cdn';
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

export interface HubServer {
  readonly endpoint: string;
  readonly files: Map<string, Buffer>;
  readonly requests: LoggedRequest[];
  misbehaviour: Misbehaviour;
  /** Answers that have stopped half-way. */
  readonly halted: ServerResponse[];
  /** Cuts the connections of those. */
  cutNow(): void;
  close(): Promise<void>;
}

const isLarge = (path: string) => /\.(safetensors|bin)$/.test(path);

/** Serves `files` as the model `id`, at one commit, which is also `main`. */
export async function startHub(id: string, files: Map<string, Buffer>): Promise<HubServer> {
  const requests: LoggedRequest[] = [];
  const cdn = await listen((request, response) => {
    log('cdn', request);
    send(hub, request, response, files.get(decodeURIComponent(request.url!.slice(1)))!, true);
  });
  const server = await listen((request, response) => {
    log('hub', request);
    answer(hub, id, cdn.endpoint, request, response);
  });
  const log = (host: 'hub' | 'cdn', { url, headers }: IncomingMessage) =>
    requests.push({ host, path: url!, range: headers.range, authorization: headers.authorization });
  const hub: HubServer = {
    endpoint: server.endpoint,
    files,
    requests,
    misbehaviour: {},
    halted: [],
    cutNow() {
      for (const response of hub.halted.splice(0)) response.destroy();
    },
    async close() {
      await Promise.all([server.close(), cdn.close()]);
    },
  };
  return hub;
}

function answer(
  hub: HubServer,
  id: string,
  cdn: string,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const { token, refusal, extraFiles = [], html, endless, answers = {} } = hub.misbehaviour;
  const url = new URL(request.url!, hub.endpoint);
  if (html) {
    response.end('<html></html>');
  } else if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
    if (request.headers.authorization)
      response.setHeader('X-Error-Message', 'Invalid credentials in Authorization header');
    refuse(response, 401);
  } else if (refusal && (refusal.times === undefined || refusal.times-- > 0)) {
    for (const [name, value] of Object.entries(refusal.headers ?? {})) response.setHeader(name, value);
    refuse(response, refusal.status, refusal.code);
  } else if (endless !== undefined && url.pathname.startsWith('/api/')) {
    answerWithoutEnd(endless, url, response);
  } else if ('revision' in answers && url.pathname.includes('/revision/')) {
    json(response, answers.revision);
  } else if ('tree' in answers && url.pathname.includes('/tree/')) {
    json(response, answers.tree);
  } else if (url.pathname.startsWith(`/api/models/${id}/revision/`)) {
    const revision = decodeURIComponent(url.pathname.split('/').pop()!);
    const known = revision === 'main' || revision === COMMIT;
    if (!known) refuse(response, 404, 'RevisionNotFound');
    else
      json(response, { _id: 'x', id, sha: COMMIT, private: false, lastModified: '2024-01-01T00:00:00.000Z' });
  } else if (url.pathname === `/api/models/${id}/tree/${COMMIT}`) {
    const { claimedSizes = {} } = hub.misbehaviour;
    const entries = [...hub.files].map(([path, bytes]) => ({
      type: 'file',
      path,
      ...describe(path, bytes),
      ...(path in claimedSizes && { size: claimedSizes[path] }),
    }));
    const all = [{ type: 'directory', path: 'unet', size: 0, oid: '0' }, ...entries, ...extraFiles];
    // Two pages, as for a large repository.
    const half = Math.ceil(all.length / 2);
    const second = url.searchParams.has('cursor');
    if (!second) {
      url.searchParams.set('cursor', 'next');
      response.setHeader('Link', `<${hub.misbehaviour.nextPage ?? url.href}>; rel="next"`);
    }
    json(response, second ? all.slice(half) : all.slice(0, half));
  } else if (url.pathname.startsWith(`/${id}/resolve/${COMMIT}/`)) {
    const path = decodeURIComponent(url.pathname.slice(`/${id}/resolve/${COMMIT}/`.length));
    const bytes = hub.files.get(path);
    if (bytes) sendFile(hub, cdn, path, bytes, request, response);
    else refuse(response, 404, 'EntryNotFound');
  } else {
    refuse(response, 404, 'RepoNotFound');
  }
}

/** The commit as the hub tells it, before what never ends. */
function answerWithoutEnd(
  kind: NonNullable<Misbehaviour['endless']>,
  url: URL,
  response: ServerResponse,
): void {
  if (kind === 'silence') return;
  if (kind === 'pages' || kind === 'large pages') {
    response.setHeader('Link', `<${url.href}>; rel="next"`);
    const list = kind === 'pages' ? [] : [{ type: 'directory', path: 'x'.repeat(5e6) }];
    json(response, url.pathname.includes('/revision/') ? { sha: COMMIT } : list);
    return;
  }
  const text = Buffer.alloc(1 << 20, ' ');
  let body: Writable = response;
  if (kind === 'compressed') {
    response.setHeader('Content-Encoding', 'gzip');
    body = createGzip();
    body.pipe(response);
  }
  const more = () => {
    while (!response.destroyed && body.write(text));
  };
  body.on('drain', more);
  response.on('close', () => body.destroy());
  more();
}

/** As the hub: large files by way of another host, each with the headers that name its content. */
function sendFile(
  hub: HubServer,
  cdn: string,
  path: string,
  bytes: Buffer,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  response.setHeader('X-Repo-Commit', COMMIT);
  if (isLarge(path)) {
    response.setHeader('X-Linked-Etag', `"${sha256(bytes)}"`);
    response.setHeader('X-Linked-Size', bytes.length);
    response.writeHead(302, { Location: `${cdn}/${encodeURIComponent(path)}` }).end();
  } else {
    response.setHeader('ETag', `"${gitHash(bytes)}"`);
    send(hub, request, response, bytes, false);
  }
}

function send(
  { misbehaviour, halted, cutNow }: HubServer,
  request: IncomingMessage,
  response: ServerResponse,
  whole: Buffer,
  large: boolean,
): void {
  const asked = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const start = misbehaviour.ignoreRanges ? 0 : asked - (misbehaviour.shiftRanges && large ? 1 : 0);
  const bytes = Buffer.from(whole.subarray(start));
  if (large && misbehaviour.corrupt && bytes.length > 0) bytes[bytes.length - 1]! ^= 1;
  const partial = request.headers.range !== undefined && !misbehaviour.ignoreRanges;
  const { truncate, drip } = misbehaviour;
  const rest = large && truncate && truncate.times-- > 0 ? bytes.subarray(0, truncate.after) : bytes;
  response.writeHead(partial ? 206 : 200, {
    'Content-Length': rest.length,
    ...(partial && { 'Content-Range': `bytes ${start}-${whole.length - 1}/${whole.length}` }),
  });
  const { cut } = misbehaviour;
  if (large && cut && cut.times > 0) {
    cut.times--;
    halted.push(response);
    if (cut.after === 0) cutNow();
    else response.write(bytes.subarray(0, cut.after));
    return;
  }
  if (large && drip && drip.times-- > 0) {
    response.write(bytes.subarray(0, drip.after));
    let sent = drip.after;
    const timer = setInterval(
      () => response.write(bytes.subarray(sent, ++sent)),
      drip.milliseconds ?? 2 ** 30,
    );
    response.on('close', () => clearInterval(timer));
    return;
  }
  response.end(rest);
}

function describe(path: string, bytes: Buffer): object {
  const lfs = { oid: sha256(bytes), size: bytes.length, pointerSize: 130 };
  return isLarge(path)
    ? { size: bytes.length, oid: gitHash(Buffer.from('pointer')), lfs }
    : { size: bytes.length, oid: gitHash(bytes) };
}

export const sha256 = (bytes: Buffer) => createHash('sha256').update(bytes).digest('hex');
export const gitHash = (bytes: Buffer) =>
  createHash('sha1').update(`blob ${bytes.length}\0`).update(bytes).digest('hex');

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('Content-Type', 'application/json');
  response.end(JSON.stringify(value));
}

function refuse(response: ServerResponse, status: number, code?: string): void {
  if (code) response.setHeader('X-Error-Code', code);
  response.writeHead(status).end('{}');
}

async function listen(handle: (request: IncomingMessage, response: ServerResponse) => void) {
  const server: Server = createServer(handle);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close: () =>
      new Promise<void>((resolve) => {
        server.closeAllConnections();
        server.close(() => resolve());
      }),
  };
}
