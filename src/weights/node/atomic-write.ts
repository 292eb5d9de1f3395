/**
 * Writing so that a file or a folder is either complete under its name or not there: everything goes beside it,
 * is brought to the disk, and is renamed. What fails leaves nothing behind and what was there before untouched.
 */
import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '../../errors.ts';

/** Node refuses to write 2 GiB at once. */
const MAX_CHUNK = 2 ** 30;

/** Writes `pieces` one after the other as the file `path`, replacing what has that name. */
export async function writeFileAtomically(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  await replaceAtomically(path, (partial) => writeDurably(partial, pieces));
}

/**
 * Creates the folder `path` with what `fill` puts into the folder that it is given. An existing folder is replaced
 * when `replace` is set and refused with an InputError otherwise.
 */
export async function writeDirectoryAtomically(
  path: string,
  fill: (partial: string) => Promise<void>,
  { replace = false }: { replace?: boolean } = {},
): Promise<void> {
  const old = besideName(path, 'old');
  // Asked before anything is written: the files may be gigabytes.
  if (!replace && (await exists(path))) throw asInputError(path, { code: 'EEXIST' });
  await replaceAtomically(path, async (partial) => {
    await mkdir(partial);
    await fill(partial);
    await syncDirectory(partial);
    // A folder cannot be renamed onto a full one: the old one steps aside first.
    if (replace) await rename(path, old).catch(ignoreMissing);
  }).catch(async (error: unknown) => {
    if (replace) await rename(old, path).catch(ignoreMissing);
    throw error;
  });
  await rm(old, { recursive: true, force: true });
}

/** Writes `pieces` as the file `path` and waits until they are on the disk. */
export async function writeDurably(path: string, pieces: Iterable<Uint8Array>): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (const piece of pieces) {
      for (let done = 0; done < piece.byteLength; ) {
        done += (await file.write(piece, done, Math.min(piece.byteLength - done, MAX_CHUNK))).bytesWritten;
      }
    }
    await file.sync();
  } finally {
    await file.close();
  }
}

/** Brings the names in a folder to the disk. */
export async function syncDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return; // directories cannot be opened there
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

async function replaceAtomically(path: string, write: (partial: string) => Promise<void>): Promise<void> {
  const partial = besideName(path, 'partial');
  try {
    await mkdir(dirname(resolve(path)), { recursive: true });
    await rm(partial, { recursive: true, force: true }); // left by an earlier process of this number
    await write(partial);
    await rename(partial, path);
    await syncDirectory(dirname(resolve(path)));
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw asInputError(path, error);
  }
}

/** A hidden name of this process in the same folder, hence on the same file system. */
function besideName(path: string, purpose: string): string {
  const whole = resolve(path);
  return join(dirname(whole), `.${basename(whole)}.${process.pid}.${purpose}`);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space or choose another folder',
  EDQUOT: 'your disk quota is used up; free some space or choose another folder',
  EFBIG:
    'the file would be larger than this system or its limits allow; raise the limit or choose another folder',
  EACCES: 'you may not write there; choose another folder or change its permissions',
  EPERM: 'you may not write there; choose another folder or change its permissions',
  EROFS: 'the file system is read-only; choose another folder',
  ENOTDIR: 'a part of the path is a file, not a folder; choose another path',
  EISDIR: 'there is a folder of that name; choose another name',
  EEXIST: 'there is something of that name already; choose another name or remove it',
  ENOTEMPTY: 'there is a folder of that name already; choose another name or remove it',
};

function asInputError(path: string, error: unknown): unknown {
  const reason = REASONS[(error as { code?: string }).code ?? ''];
  return reason === undefined ? error : new InputError(`cannot write ${path}: ${reason}`, { cause: error });
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error;
}
