/**
 * Opening other people's files: only regular ones, which end somewhere and never wait, and no more of them than what
 * is expected of them. Symbolic links are followed, because caches of downloads consist of them.
 */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, readdir, stat } from 'node:fs/promises';
import { InputError } from '../../errors.ts';

/** Runs `use` on the open file of `size` bytes. Throws InputError when there is none, or something that is no file. */
export async function withRegularFile<T>(
  path: string,
  use: (file: FileHandle, size: number) => Promise<T>,
): Promise<T> {
  let file: FileHandle | undefined;
  try {
    // The path is looked at before it is opened, because opening a pipe or a device does something to it ...
    requireRegular(await stat(path), path);
    // ... and again afterwards, without waiting for anyone, because it may be another file by then.
    file = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stats = await file.stat();
    requireRegular(stats, path);
    return await use(file, stats.size);
  } catch (error) {
    throw unreadable(path, error);
  } finally {
    await file?.close();
  }
}

/** The content of a file of at most `limit` bytes. Throws InputError for a larger one, before it is read. */
export async function readBytes(path: string, limit: number): Promise<Buffer> {
  return withRegularFile(path, async (file, size) => {
    if (size > limit) throw tooLarge(path, limit);
    // Some files of the system say that they have no bytes, and others grow: the end is where nothing more comes.
    let bytes = Buffer.allocUnsafe(size + 1);
    for (let length = 0; ; ) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length, length);
      if (bytesRead === 0) return bytes.subarray(0, length);
      length += bytesRead;
      if (length > limit) throw tooLarge(path, limit);
      if (length === bytes.length) bytes = Buffer.concat([bytes], Math.min(2 * length, limit) + 1);
    }
  });
}

function tooLarge(path: string, limit: number): InputError {
  return new InputError(`${path} is larger than the ${limit} bytes that such a file may have`, { path });
}

/** The names in a folder. Throws InputError when there is none, or it may not be read. */
export async function namesIn(folder: string): Promise<string[]> {
  return readdir(folder).catch((error) => {
    throw unreadable(folder, error);
  });
}

function requireRegular(stats: Stats, path: string): void {
  if (!stats.isFile()) throw new InputError(`${path} is ${kindOf(stats)}; expected a file`, { path });
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a named pipe';
  if (stats.isSocket()) return 'a socket';
  if (stats.isCharacterDevice() || stats.isBlockDevice()) return 'a device';
  return 'no regular file';
}

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file',
  ENOTDIR: 'there is no such file',
  EACCES: 'you may not read it; check its permissions',
  EPERM: 'you may not read it; check its permissions',
  ELOOP: 'it is a symbolic link that leads in a circle',
  ENAMETOOLONG: 'its name is longer than names of files can be',
  EMFILE: 'too many files are open; raise the limit (ulimit -n)',
  ENFILE: 'too many files are open on this machine',
};

/** What the system says of a file as an InputError that names the file; other errors as they are. */
export function unreadable(path: string, error: unknown): unknown {
  if (path.includes('\0')) {
    return new InputError(
      `cannot read ${path.replaceAll('\0', '\\0')}: names of files hold no NUL character`,
      { path, code: 'cannot-read' },
    );
  }
  const { code, syscall } = error as NodeJS.ErrnoException;
  if (code === undefined || syscall === undefined) return error;
  const reason = REASONS[code] ?? `the system says ${code}`;
  const kind = code === 'ENOENT' || code === 'ENOTDIR' ? 'not-found' : 'cannot-read';
  return new InputError(`cannot read ${path}: ${reason}`, { cause: error, path, code: kind });
}

/** Whether an error of the functions above says that there is no file of that name. */
export function isMissing(error: unknown): boolean {
  const { code } = ((error as Error).cause ?? {}) as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
