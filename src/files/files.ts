/** Bytes and folders wherever they lie: on this machine, on a server, in a browser's hands, in memory. */
import { InputError } from '../errors.ts';
import { type JsonObject, parseJsonObject } from './json.ts';

/** A file whose ranges can be read. It does not change while it is used. */
export interface ByteSource {
  /** For messages: a path, an address. */
  readonly name: string;
  /** Where it lies on this machine, which engines may map into memory; absent for all that lies elsewhere. */
  readonly path?: string;
  readonly size: number;
  /** `length` bytes from `offset` on. Throws InputError when they are not there, or cannot be read. */
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A folder. Paths within it have `/` between their parts, and never leave it. */
export interface Files {
  /** For messages: a path, an address. */
  readonly location: string;
  /** Where it lies on this machine; absent for all that lies elsewhere. */
  readonly path?: string;
  /** The names in `folder`, in any order; none where there is no such folder, or the place cannot be listed. */
  list(folder?: string): Promise<readonly string[]>;
  /** The content of a file; undefined when there is none. Throws InputError when it is too large or cannot be read. */
  bytes(path: string, limit?: number): Promise<Uint8Array | undefined>;
  /** A file to read ranges of; undefined when there is none. */
  open(path: string): Promise<ByteSource | undefined>;
}

/** Bytes that a text may have. The largest that models have, CLIP's tokenizer.json, has 2.2 million. */
export const LARGEST_TEXT = 2 ** 24;

/** `location/path`, for messages. */
export function nameOf({ location }: Files, path: string): string {
  return path === '' ? location : `${location}/${path}`;
}

/** The folder `folder` of a folder. */
export function within(files: Files, folder: string): Files {
  if (folder === '') return files;
  const at = (path: string) => (path === '' ? folder : `${folder}/${path}`);
  return {
    location: nameOf(files, folder),
    ...(files.path !== undefined && { path: `${files.path}/${folder}` }),
    list: (inner = '') => files.list(at(inner)),
    bytes: (path, limit) => files.bytes(at(path), limit),
    open: (path) => files.open(at(path)),
  };
}

/** The folder that the file `path` of a folder lies in, and the file's name there. */
export function folderOf(files: Files, path: string): { folder: Files; name: string } {
  const slash = path.lastIndexOf('/');
  return { folder: within(files, path.slice(0, Math.max(slash, 0))), name: path.slice(slash + 1) };
}

/** Whether a folder has the file `path`. Throws InputError when there is something else of that name. */
export async function hasFile(files: Files, path: string): Promise<boolean> {
  return (await files.open(path)) !== undefined;
}

/** The text of a file, undefined when there is none. Throws InputError when it is too large or not in UTF-8. */
export async function textIn(files: Files, path: string, limit = LARGEST_TEXT): Promise<string | undefined> {
  const bytes = await files.bytes(path, limit);
  return bytes && decodeText(bytes, nameOf(files, path));
}

/** Throws InputError for what is missing, no JSON, or something other than an object. */
export async function jsonObjectIn(files: Files, path: string): Promise<JsonObject> {
  const text = await textIn(files, path);
  if (text === undefined)
    throw new InputError(`cannot read ${nameOf(files, path)}: there is no such file`, {
      cause: MISSING,
      path: nameOf(files, path),
      code: 'not-found',
    });
  return parseJsonObject(text, nameOf(files, path));
}

/** A file that must be there. Throws InputError when it is not. */
export async function sourceIn(files: Files, path: string): Promise<ByteSource> {
  const source = await files.open(path);
  if (source) return source;
  throw new InputError(`cannot read ${nameOf(files, path)}: there is no such file`, {
    cause: MISSING,
    path: nameOf(files, path),
    code: 'not-found',
  });
}

/** What errors of the functions above that say so have for their cause, as errors of Node's file system do. */
const MISSING = Object.assign(new Error('there is no such file'), { code: 'ENOENT' });

/** Bytes of the file `name` as text, without a byte order mark. Throws InputError when they are not UTF-8. */
export function decodeText(bytes: Uint8Array, name: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InputError(`${name} is not a text in UTF-8; save it as one`, { cause, path: name });
  }
}

export function tooLarge(name: string, limit: number): InputError {
  return new InputError(`${name} is larger than the ${limit} bytes that such a file may have`, {
    path: name,
  });
}

/** Throws InputError when a range does not lie within a file. */
export function requireRange({ name, size }: Omit<ByteSource, 'read'>, offset: number, length: number): void {
  if (offset >= 0 && length >= 0 && offset + length <= size) return;
  throw new InputError(`${name} has ${size} bytes, none at ${offset} to ${offset + length}: it is cut off`, {
    path: name,
    code: 'damaged',
  });
}
