/**
 * Writing so that a file or a folder is either complete under its name or not there: everything goes beside it,
 * is brought to the disk, and is renamed. What fails leaves nothing behind and what was there before untouched.
 */
import { access, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { isRunning } from '../../files/node/lock.ts';
import { isMissing, namesIn } from '../../files/node/regular-file.ts';
import { unwritable } from '../../files/node/unwritable.ts';

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
  // Whether the target is there is asked before anything is written: the files may be gigabytes.
  if (!replace && (await exists(path))) throw unwritable(path, { code: 'EEXIST' });
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
    await mkdir(dirname(resolve(path)), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
      throw error.code === 'EEXIST' ? unwritable(path, { code: 'ENOTDIR' }) : error;
    });
    await rm(partial, { recursive: true, force: true }); // left by an earlier process of this number
    await write(partial);
    await rename(partial, path);
    await syncDirectory(dirname(resolve(path)));
  } catch (error) {
    // What cannot be removed, as below a file, was not made; what is told is why nothing was written.
    await rm(partial, { recursive: true, force: true }).catch(() => {});
    throw unwritable(path, error);
  }
}

/** What `besideName` makes: the final name, the process, and the purpose. */
const BESIDE = /^\.(.+)\.(\d+)\.(partial|old)$/;

/** A hidden name of this process in the same folder, hence on the same file system. */
function besideName(path: string, purpose: 'partial' | 'old'): string {
  const whole = resolve(path);
  return join(dirname(whole), `.${basename(whole)}.${process.pid}.${purpose}`);
}

/**
 * Removes from a folder what processes that have ended left half written, and gives a folder that had just stepped
 * aside for a new one its name back. What a living process writes stays as it is; so call it before writing there.
 */
export async function removeLeftovers(folder: string): Promise<void> {
  const names = await namesIn(folder).catch((error): string[] => {
    if (isMissing(error)) return [];
    throw error;
  });
  for (const name of names) {
    const match = BESIDE.exec(name);
    if (!match) continue;
    const [, final, pid, purpose] = match as unknown as [string, string, string, string];
    // A number of this process can only be left by an earlier one that had the same.
    if (Number(pid) !== process.pid && isRunning(Number(pid))) continue;
    const path = join(folder, name);
    if (purpose === 'old' && !(await exists(join(folder, final)))) await rename(path, join(folder, final));
    else await rm(path, { recursive: true, force: true });
  }
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
