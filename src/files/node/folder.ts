/** A folder, and files, of this machine. */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError } from '../../errors.ts';
import { type ByteSource, type Files, LARGEST_TEXT } from '../files.ts';
import { isMissing, namesIn, readBytes, withRegularFile } from './regular-file.ts';

/** Node refuses to read 2 GiB at once. */
const MAX_CHUNK = 2 ** 30;

/** The folder `path`. */
export function folderFiles(path: string): Files {
  return {
    location: path,
    path,
    list: async (folder = '') => (await unlessMissing(namesIn(join(path, folder)))) ?? [],
    bytes: (name, limit = LARGEST_TEXT) => unlessMissing(readBytes(join(path, name), limit)),
    open: (name) => unlessMissing(fileSource(join(path, name))),
  };
}

/** The file `path`, opened whenever it is read. Throws InputError when it is missing, or no regular file. */
export async function fileSource(path: string): Promise<ByteSource> {
  const size = await withRegularFile(path, async (_, size) => size);
  return {
    name: path,
    // ONNX Runtime refuses external data behind symbolic links, which is how hub caches store their files.
    path: await realpath(path),
    size,
    read: (offset, length) =>
      withRegularFile(path, async (file) => {
        const bytes = new Uint8Array(length);
        for (let done = 0; done < length; ) {
          const part = Math.min(length - done, MAX_CHUNK);
          const { bytesRead } = await file.read(bytes, done, part, offset + done);
          if (bytesRead === 0) {
            throw new InputError(
              `${path} became shorter while it was read: it ends before byte ${offset + length}`,
              { path, code: 'damaged' },
            );
          }
          done += bytesRead;
        }
        return bytes;
      }),
  };
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}
