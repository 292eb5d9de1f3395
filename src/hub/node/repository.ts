/** What the hub says of a model: the commit that a revision stands for, and its files. */
import { InputError } from '../../errors.ts';
import { isJsonObject, type JsonObject } from '../../files/json.ts';
import { formatBytes } from '../../format-bytes.ts';
import { shown } from '../../messages.ts';
import { type HubRequests, request, retrying } from './requests.ts';

export interface Repository {
  readonly commit: string;
  /** By path. A name may be any text: whoever makes a path of it checks its parts. */
  readonly files: ReadonlyMap<string, RepositoryFile>;
}

export interface RepositoryFile {
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of the content for large files, git's SHA-1 for others, in hexadecimal digits. */
  readonly etag: string;
}

const COMMIT = /^[0-9a-f]{40}$/;
const ETAG = /^([0-9a-f]{40}|[0-9a-f]{64})$/;

/** Far more than any model has: the hub's pages have 1000 files, of some 300 bytes each. */
const MOST_BYTES = 32e6;
/** What JSON makes of an answer may take ten times as much memory. */
const MOST_BYTES_AT_ONCE = 8e6;
const MOST_PAGES = 500;
const MOST_FILES = 50_000;

/**
 * Asks for the revision and for all pages of its list of files. Throws InputError for a server that is no hub and for
 * answers without end.
 */
export async function describeRepository(hub: HubRequests): Promise<Repository> {
  const { id, revision, settings } = hub;
  const models = `${settings.endpoint}/api/models/${id}`;
  const budget = { bytes: MOST_BYTES };
  const info = await askJson(hub, `${models}/revision/${encodeURIComponent(revision)}?expand=sha`, budget);
  const { sha: commit } = objectOf(info.json);
  if (typeof commit !== 'string' || !COMMIT.test(commit)) throw unexpected(hub, 'it names no commit');

  const files = new Map<string, RepositoryFile>();
  let next: string | undefined = `${models}/tree/${commit}?recursive=true`;
  for (let page = 0; next !== undefined; page++) {
    if (page === MOST_PAGES) throw unexpected(hub, `its list of files has more than ${MOST_PAGES} pages`);
    const answer: JsonAnswer = await askJson(hub, next, budget);
    if (!Array.isArray(answer.json)) throw unexpected(hub, 'its list of files is no list');
    for (const entry of answer.json) addFile(hub, files, objectOf(entry));
    next = answer.next;
  }
  requireNoFileInAFile(hub, files);
  return { commit, files };
}

function addFile(hub: HubRequests, files: Map<string, RepositoryFile>, entry: JsonObject): void {
  if (entry.type !== 'file') return;
  const { path } = entry;
  const lfs = objectOf(entry.lfs);
  const [size, etag] = [lfs.size ?? entry.size, lfs.oid ?? entry.oid];
  if (typeof path !== 'string') throw unexpected(hub, 'it lists a file without a name');
  if (typeof etag !== 'string' || !ETAG.test(etag)) throw unexpected(hub, `${shown(path)} has no checksum`);
  if (!Number.isSafeInteger(size) || (size as number) < 0)
    throw unexpected(hub, `${shown(path)} has no size`);
  files.set(path, { size: size as number, etag });
  if (files.size > MOST_FILES) throw unexpected(hub, `it lists more than ${MOST_FILES} files`);
}

/** A file `unet` beside `unet/config.json` cannot be written. */
function requireNoFileInAFile(hub: HubRequests, files: ReadonlyMap<string, RepositoryFile>): void {
  for (const path of files.keys()) {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1)) {
      if (!files.has(path.slice(0, end))) continue;
      throw unexpected(hub, `it lists ${shown(path.slice(0, end))} both as a file and as a folder`);
    }
  }
}

interface JsonAnswer {
  readonly json: unknown;
  /** The address of the next page. */
  readonly next: string | undefined;
}

/** The answer as JSON; what it has of bytes, decompressed, is taken from the budget. */
async function askJson(hub: HubRequests, url: string, budget: { bytes: number }): Promise<JsonAnswer> {
  const timeout = hub.settings.timeouts.answer;
  const ask = () =>
    request(hub, { url, headers: { Accept: 'application/json' }, timeout }, async ({ headers, body }) => {
      const pieces: Uint8Array[] = [];
      let length = 0;
      for await (const piece of body) {
        length += piece.length;
        if (length > MOST_BYTES_AT_ONCE)
          throw unexpected(hub, `it sends more than ${formatBytes(MOST_BYTES_AT_ONCE)} in one answer`);
        pieces.push(piece);
      }
      budget.bytes -= length;
      if (budget.bytes < 0)
        throw unexpected(hub, `it sends more than ${formatBytes(MOST_BYTES)} about a model`);
      return { text: Buffer.concat(pieces).toString('utf8'), link: headers.get('Link') ?? '' };
    });
  const { text, link } = await retrying(hub, ask);
  const next = /<([^>]+)>\s*;\s*rel="next"/.exec(link)?.[1];
  if (next !== undefined && !URL.canParse(next, url)) throw unexpected(hub, 'its next page has no address');
  try {
    return { json: JSON.parse(text), next: next && new URL(next, url).href };
  } catch (cause) {
    throw unexpected(hub, 'it sends no JSON', cause);
  }
}

function unexpected({ id, settings }: HubRequests, what: string, cause?: unknown): InputError {
  return new InputError(
    `${settings.endpoint} answers in a way that is not understood when asked for ${id}: ${what}. Is it a hub?`,
    { cause, code: 'hub' },
  );
}

function objectOf(value: unknown): JsonObject {
  return isJsonObject(value) ? value : {};
}
