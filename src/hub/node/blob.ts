/**
 * The content of one file: received from where the last attempt stopped, and checked against its checksum before
 * it gets its name in the cache.
 */
import { createHash, type Hash } from 'node:crypto';
import { constants, type FileHandle, mkdir, open, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { InputError } from '../../errors.ts';
import { type HubAnswer, type HubRequests, request, retrying } from './requests.ts';
import { SLOWEST, TemporaryError } from './waiting.ts';

export interface BlobRequest {
  /** For messages: the path in the model's repository. */
  readonly path: string;
  readonly url: string;
  /** In bytes. */
  readonly size: number;
  /** SHA-256 of the content for large files, git's SHA-1 for others, in hexadecimal digits. */
  readonly etag: string;
  /** Where it belongs in the cache. */
  readonly target: string;
  /** Gets every piece that has arrived, and once what was there before. */
  readonly onBytes: (count: number) => void;
}

/** Whether the blob is there. A file of the wrong size is as good as none. */
export async function hasBlob({ target, size }: Pick<BlobRequest, 'target' | 'size'>): Promise<boolean> {
  const found = await statIfThere(target);
  return found?.isFile() === true && found.size === size;
}

/** How many bytes an earlier attempt has left. */
export async function partialSize({ target, size }: Pick<BlobRequest, 'target' | 'size'>): Promise<number> {
  const found = await statIfThere(partialPath(target));
  return found !== undefined && found.size <= size ? found.size : 0;
}

/**
 * Downloads into `<target>.incomplete`, going on where an earlier attempt stopped, and renames it. Bytes are written
 * where they belong, so two processes that download the same file do each other no harm. Throws InputError when
 * the hub cannot be reached, when the disk is full, and when the content is not what the hub said it would be.
 */
export async function downloadBlob(hub: HubRequests, request: BlobRequest): Promise<void> {
  const { target, size, etag, path } = request;
  const partial = partialPath(target);
  await mkdir(dirname(target), { recursive: true });
  const file = await open(partial, constants.O_RDWR | constants.O_CREAT);
  let digest: string;
  try {
    if ((await file.stat()).size > size) await file.truncate(0);
    digest = await receive(hub, request, file);
    await file.sync();
  } catch (error) {
    if (['ENOSPC', 'EDQUOT'].includes((error as NodeJS.ErrnoException).code ?? '')) {
      throw new InputError(
        `the disk is full: ${path} needs ${size} bytes in ${dirname(target)}; free some space, or set HF_HUB_CACHE to another disk. What has arrived is kept`,
        { cause: error, path, code: 'cannot-write' },
      );
    }
    throw error;
  } finally {
    await file.close();
  }
  if (digest !== etag) {
    await rm(partial, { force: true });
    throw new InputError(
      `${path} arrived damaged: its checksum is ${digest}, the hub says ${etag}. It was removed; try again, and if that does not help, another network or mirror`,
      { path, code: 'damaged' },
    );
  }
  await rename(partial, target).catch(async (error: NodeJS.ErrnoException) => {
    // Another process has finished the same file and renamed it.
    if (error.code !== 'ENOENT' || !(await hasBlob(request))) throw error;
  });
}

/** Receives what is missing and returns the checksum of the whole. */
async function receive(
  hub: HubRequests,
  { url, size, etag, path, onBytes }: BlobRequest,
  file: FileHandle,
): Promise<string> {
  const timeout = hub.settings.timeouts.download;
  let hash = newHash(etag, size);
  let done = 0;
  for await (const chunk of file.createReadStream({ start: 0, autoClose: false, signal: hub.signal })) {
    hash.update(chunk);
    done += chunk.length;
  }
  onBytes(done);

  const take = async ({ status, headers, body }: HubAnswer) => {
    if (status === 206 && !headers.get('Content-Range')?.startsWith(`bytes ${done}-`)) {
      throw new TemporaryError(`it sends another part of ${path} than was asked for`);
    }
    if (status !== 206 && done > 0) {
      // A server that does not know ranges sends everything again.
      onBytes(-done);
      hash = newHash(etag, size);
      done = 0;
    }
    for await (const chunk of body) {
      if (done + chunk.length > size)
        throw new InputError(`${path} is longer than the ${size} bytes that the hub says it has`, {
          path,
          code: 'damaged',
        });
      await writeAll(file, chunk, done);
      hash.update(chunk);
      done += chunk.length;
      onBytes(chunk.length);
    }
    if (done < size) throw new TemporaryError(`${path} ended after ${done} of ${size} bytes`);
  };
  const attempt = async () => {
    // Nothing is asked of a file that is whole, nor of an empty one, of which there is no range.
    if (done === size) return;
    // Ranges are those of the content, not of something compressed.
    const headers = { Range: `bytes=${done}-`, 'Accept-Encoding': 'identity' };
    await request(hub, { url, headers, timeout }, take);
  };

  let before = done;
  const progressed = () => {
    // Less than a server sends that is alive is nothing to count on.
    if (done - before < SLOWEST * timeout) return false;
    before = done;
    return true;
  };
  await retrying(hub, attempt, progressed);
  return hash.digest('hex');
}

function newHash(etag: string, size: number): Hash {
  return etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${size}\0`);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}

function partialPath(target: string): string {
  return `${target}.incomplete`;
}

async function statIfThere(path: string) {
  return stat(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
}
