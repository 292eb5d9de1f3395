/** Downloads a model from the Hugging Face hub into the cache, as much of it as is needed. */
import { statfs } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InputError } from '../../errors.ts';
import { LARGEST_TEXT } from '../../files/files.ts';
import { readText } from '../../files/node/text-file.ts';
import { requirePathPart } from '../../files/path-part.ts';
import { formatBytes } from '../../format-bytes.ts';
import { type BlobRequest, downloadBlob, hasBlob, partialSize } from './blob.ts';
import { cachedModel, cacheFolder } from './cache.ts';
import { describeRepository } from './repository.ts';
import type { HubRequests, HubWait } from './requests.ts';
import { type SelectionOptions, selectFiles } from './select-files.ts';
import { type HubSettings, hubSettings, requireModelId } from './settings.ts';
import { readToken } from './token.ts';

/** How far a download is. */
export interface PullProgress {
  /** The file that is being received. */
  readonly path: string;
  /** Bytes of all needed files: those that are in the cache, and how many there will be. */
  readonly received: number;
  readonly size: number;
}

/** What is downloaded, and who is told of it. */
export interface PullOptions extends SelectionOptions {
  /** A branch, a tag or a commit; `main` by default. */
  readonly revision?: string | undefined;
  readonly onProgress?: (progress: PullProgress) => void;
  /** Hears of each pause before it begins: the hub asks for it, or something failed that may pass. */
  readonly onWait?: (wait: HubWait) => void;
  readonly signal?: AbortSignal | undefined;
  /** By default from the environment. */
  readonly settings?: HubSettings;
  /** How long to wait before each further attempt after a failure that may pass, in milliseconds. */
  readonly retryDelays?: readonly number[];
}

const RETRY_DELAYS = [1000, 2000, 4000, 8000];

/**
 * Downloads the model `id` (`owner/name`) and returns its folder, which `loadPipeline` takes. Files that are in the
 * cache are not downloaded again; an interrupted download goes on where it stopped. With HF_HUB_OFFLINE nothing is
 * asked, and the model has to be in the cache. Throws UsageError for what is no model's name, InputError for what
 * the hub refuses and for content that is not what it should be.
 */
export async function pullModel(id: string, options: PullOptions = {}): Promise<string> {
  const { revision = 'main', signal, settings = hubSettings(), retryDelays = RETRY_DELAYS, onWait } = options;
  requireModelId(id, revision);
  signal?.throwIfAborted();
  if (settings.offline) return cachedModel(id, { revision, settings });
  const token = await readToken(settings.token);
  try {
    return await download({ settings, token, id, revision, signal, retryDelays, onWait }, options);
  } catch (error) {
    signal?.throwIfAborted();
    const { code, syscall } = error as NodeJS.ErrnoException;
    // What the system says of the folder; requests have their own errors.
    if (code === undefined || (syscall === undefined && !code.startsWith('ERR_FS'))) throw error;
    throw new InputError(
      `cannot write to the cache ${settings.cache} (${(error as Error).message}); set HF_HUB_CACHE to a folder that you may write to`,
      { cause: error, code: 'cannot-write' },
    );
  }
}

async function download(hub: HubRequests, options: PullOptions): Promise<string> {
  const { settings, id, revision } = hub;
  const { commit, files: repository } = await describeRepository(hub);
  const folder = cacheFolder(settings.cache, id);
  const requestOf = (path: string): BlobRequest => {
    // A repository may hold what cannot be stored under its name here, as long as nobody asks for it.
    for (const part of path.split('/')) requirePathPart(part, `a part of a path in ${id}`);
    const address = path.split('/').map(encodeURIComponent).join('/');
    const { size, etag } = repository.get(path)!;
    const url = `${settings.endpoint}/${id}/resolve/${commit}/${address}`;
    return { path, url, size, etag, target: folder.blob(etag), onBytes: () => {} };
  };
  const read = async (path: string) => {
    const request = requestOf(path);
    if (request.size > LARGEST_TEXT) {
      throw new InputError(
        `${id}: ${path} is said to have ${formatBytes(request.size)}; such a file has ${formatBytes(LARGEST_TEXT)} at most`,
        { path: id },
      );
    }
    if (!(await hasBlob(request))) {
      await requireSpace([request], settings);
      await downloadBlob(hub, request);
    }
    return readText(request.target);
  };

  const wanted = (await selectFiles(id, [...repository.keys()], read, options)).map(requestOf);
  const size = wanted.reduce((sum, request) => sum + request.size, 0);
  let received = 0;
  const missing: BlobRequest[] = [];
  for (const request of wanted) {
    if (await hasBlob(request)) received += request.size;
    else missing.push(request);
  }
  await requireSpace(missing, settings);
  for (const request of missing) {
    const onBytes = (count: number) => {
      received += count;
      options.onProgress?.({ path: request.path, received, size });
    };
    // Two paths may have the same content.
    if (await hasBlob(request)) onBytes(request.size);
    else await downloadBlob(hub, { ...request, onBytes });
  }
  // The name is moved only now, so that a folder in the cache is complete, and an older one stays the current one
  // until then.
  for (const { path, etag } of wanted) await folder.place(commit, path, etag);
  await folder.remember(revision, commit);
  return folder.snapshot(commit);
}

/** Throws InputError unless the disk has room for what has not arrived yet. */
async function requireSpace(missing: readonly BlobRequest[], { cache }: HubSettings): Promise<void> {
  const [first] = missing;
  if (first === undefined) return;
  const blobs = [...new Map(missing.map((request) => [request.target, request])).values()];
  const rests = blobs.map(async (request) => request.size - (await partialSize(request)));
  const needed = (await Promise.all(rests)).reduce((sum, rest) => sum + rest, 0);
  const { bavail, bsize } = await statfs(await existing(dirname(first.target)));
  if (bavail * bsize > needed) return;
  throw new InputError(
    `the download needs ${formatBytes(needed)}, but the disk of ${cache} has ${formatBytes(bavail * bsize)} left; free some space, or set HF_HUB_CACHE to another disk`,
    { code: 'cannot-write' },
  );
}

/** The nearest folder above that is there. */
async function existing(path: string): Promise<string> {
  const found = await statfs(path).then(
    () => true,
    () => false,
  );
  return found || dirname(path) === path ? path : existing(dirname(path));
}
