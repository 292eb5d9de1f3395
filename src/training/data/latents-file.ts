/**
 * The file in which latents are kept: safetensors with the latents of all pictures as float16, in the order in which a
 * training meets them, and a checksum for each block of them that was encoded together.
 *
 * A block counts only while its checksum is right, so it does not matter what a kill, a full disk or a power cut left of
 * a write: what is not whole is encoded again. Checksums begin with that of the header; a block of other pictures, of
 * another autoencoder or in another order is not right either. 0 stands for a block that was never written.
 */
import { type FileHandle, mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { InputError, UsageError } from '../../errors.ts';
import { isJsonObject, parseJsonObject } from '../../files/json.ts';
import { acquireLock, type FileLock, removeAbandonedLocks } from '../../files/node/lock.ts';
import { isMissing, withRegularFile } from '../../files/node/regular-file.ts';
import { unwritable } from '../../files/node/unwritable.ts';
import { elementCount, type Shape } from '../../graph/shape.ts';
import { shown } from '../../messages.ts';
import { planSafetensors } from '../../weights/safetensors.ts';
import { LENGTH_BYTES, readHeaderLength } from '../../weights/safetensors-header.ts';
import type { OnProgress } from '../loop/events.ts';

export interface LatentsFileOptions {
  readonly path: string;
  /** Pictures whose latents there is room for. */
  readonly count: number;
  /** Of the latents of one picture: [C, h, w]. */
  readonly shape: Shape;
  /** Pictures that are encoded together. */
  readonly block: number;
  /** Decides the order of the pictures in a new file; one that is there keeps its own. */
  readonly seed: number;
  /** Says what was encoded by what; a file made for something else is refused. */
  readonly description: Readonly<Record<string, string>>;
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** Throws UsageError for the latents of something else, InputError for a file of another kind or in use. */
export async function openLatentsFile(options: LatentsFileOptions): Promise<LatentsFile> {
  const { path, signal, onProgress } = options;
  const found = await load(options);
  // A complete file is only read, by as many as like to.
  if (found && isComplete(found)) {
    await removeAbandonedLocks(`${path}.lock`);
    return new LatentsFile(path, found);
  }
  try {
    await mkdir(dirname(path), { recursive: true });
  } catch (error) {
    throw unwritable(path, error);
  }
  const lock = await acquireLock(`${path}.lock`, { what: `the file of latents ${path}`, signal });
  let file: FileHandle | undefined;
  try {
    // Another process may have written to it meanwhile.
    const content = (await load(options)) ?? empty(options, options.seed);
    if (isComplete(content)) {
      await lock.release();
      return new LatentsFile(path, content);
    }
    const { faults, layout, sound } = content;
    if (faults.length > 0) {
      const whole = sound.filter(Boolean).length;
      onProgress?.({
        type: 'warning',
        message: `${path} is damaged (${faults.join(', ')}); ${whole} of its ${sound.length} parts are sound and kept, the rest is encoded again`,
      });
    }
    file = await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return open(path, 'wx+');
      throw error;
    });
    await writeAt(file, layout.head, 0);
    await file.truncate(layout.size);
    return new LatentsFile(path, content, { file, lock });
  } catch (error) {
    await file?.close();
    await lock.release();
    throw unwritable(path, error);
  }
}

/** Where everything lies. */
interface Layout {
  readonly head: Uint8Array;
  /** Checksum of the header, with which the others begin. */
  readonly identity: number;
  readonly checksums: number;
  readonly latents: number;
  /** Bytes in all. */
  readonly size: number;
  readonly seed: number;
}

interface Content {
  readonly layout: Layout;
  /** [count, C, h, w], float16. */
  readonly values: Uint16Array;
  readonly checksums: Int32Array;
  /** Values of one block; the last may have fewer. */
  readonly blockLength: number;
  /** By block. */
  readonly sound: boolean[];
  /** What is wrong with the file beyond what was never written. */
  readonly faults: readonly string[];
}

export class LatentsFile {
  readonly #path: string;
  readonly #content: Content;
  /** Of a file that is being filled. */
  #open: { readonly file: FileHandle; readonly lock: FileLock } | undefined;

  constructor(path: string, content: Content, open?: { file: FileHandle; lock: FileLock }) {
    this.#path = path;
    this.#content = content;
    this.#open = open;
  }

  /** Decides the order of the pictures. */
  get seed(): number {
    return this.#content.layout.seed;
  }

  /** The latents by place, [count, C, h, w]: right in sound blocks alone. */
  get values(): Uint16Array {
    return this.#content.values;
  }

  get blocks(): number {
    return this.#content.sound.length;
  }

  isSound(block: number): boolean {
    return this.#content.sound[block]!;
  }

  /** Stores a block. Throws InputError when the disk is full; what was stored before stays. */
  async write(block: number, latents: Uint16Array): Promise<void> {
    const { values, checksums, blockLength, layout, sound } = this.#content;
    const { file } = this.#open!;
    values.set(latents, block * blockLength);
    checksums[block] = checksumOf(this.#content, block);
    try {
      await writeAt(file, blockOf(this.#content, block), layout.latents + 2 * block * blockLength);
      await writeAt(file, checksums.subarray(block, block + 1), layout.checksums + 4 * block);
      sound[block] = true;
      if (isComplete(this.#content)) await this.close();
    } catch (error) {
      throw unwritable(this.#path, error);
    }
  }

  async close(): Promise<void> {
    const held = this.#open;
    this.#open = undefined;
    if (!held) return;
    try {
      await held.file.datasync();
    } finally {
      await held.file.close();
      await held.lock.release();
    }
  }
}

function isComplete({ sound, faults }: Content): boolean {
  return faults.length === 0 && sound.every(Boolean);
}

function empty(options: LatentsFileOptions, seed: number): Content {
  const { count, shape, block, description } = options;
  const values = new Uint16Array(count * elementCount(shape));
  const checksums = new Int32Array(Math.ceil(count / block));
  const { head, size } = planSafetensors(
    new Map([
      ['checksums', { dtype: 'int32', shape: [checksums.length], data: checksums }],
      ['latents', { dtype: 'float16', shape: [count, ...shape], data: values }],
    ]),
    { ...description, [ORDER]: String(seed) },
  );
  const layout = {
    head,
    identity: crc32(head),
    // Larger elements come first.
    checksums: head.byteLength,
    latents: head.byteLength + checksums.byteLength,
    size,
    seed,
  };
  const blockLength = block * elementCount(shape);
  return {
    layout,
    values,
    checksums,
    blockLength,
    sound: new Array(checksums.length).fill(false),
    faults: [],
  };
}

/** The text of the header that says in which order the pictures are. */
const ORDER = 'order_seed';

/** What the file holds; undefined when there is none. */
async function load(options: LatentsFileOptions): Promise<Content | undefined> {
  const { path } = options;
  try {
    return await withRegularFile(path, async (file, size) => {
      if (size === 0) return undefined; // killed before its first byte
      const texts = await readTexts(file, size, path);
      const content = empty(options, seedIn(texts) ?? options.seed);
      const { layout, values, checksums, sound } = content;
      const head = await readAt(file, 0, new Uint8Array(Math.min(layout.head.byteLength, size)));
      await readAt(file, layout.checksums, checksums);
      await readAt(file, layout.latents, values);
      for (const block of sound.keys()) {
        sound[block] = checksums[block] !== 0 && checksums[block] === checksumOf(content, block);
      }
      const isOwn = Buffer.from(head).equals(layout.head.subarray(0, head.byteLength));
      const isLost = sound.includes(true) || head.every((byte) => byte === 0);
      if (!isOwn && !isLost) throw otherContent(texts, options);
      const damaged = sound.filter((whole, block) => !whole && checksums[block] !== 0).length;
      const faults = [
        ...(isOwn ? [] : ['its beginning is lost']),
        ...(size < layout.size ? ['it is cut off'] : size > layout.size ? ['it is too long'] : []),
        ...(damaged > 0 ? [`wrong checksums: ${damaged}`] : []),
      ];
      // A file that was begun, but in which nothing was written, has lost nothing.
      const isNew = isOwn && checksums.every((checksum) => checksum === 0);
      return { ...content, faults: isNew ? [] : faults };
    });
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

type Texts = Readonly<Record<string, unknown>>;

/** The texts of the header; undefined when it is damaged. What follows it may be cut off or too long. */
async function readTexts(file: FileHandle, size: number, path: string): Promise<Texts | undefined> {
  try {
    const start = await readAt(file, 0, new Uint8Array(Math.min(LENGTH_BYTES, size)));
    const header = new Uint8Array(readHeaderLength(start, size, path));
    const text = new TextDecoder().decode(await readAt(file, LENGTH_BYTES, header));
    const texts = parseJsonObject(text, path).__metadata__;
    return isJsonObject(texts) ? texts : {};
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}

function seedIn(texts: Texts | undefined): number | undefined {
  const seed = texts?.[ORDER] === undefined ? undefined : Number(texts[ORDER]);
  return Number.isSafeInteger(seed) ? seed : undefined;
}

function otherContent(texts: Texts | undefined, { path, description }: LatentsFileOptions): Error {
  if (texts === undefined)
    return new InputError(`${path} is no file of latents; delete it or name another file`, { path });
  const other = Object.keys(description).find((name) => texts[name] !== description[name]);
  const difference =
    other !== undefined
      ? `its ${other} is ${shown(texts[other])}, expected ${shown(description[other])}`
      : seedIn(texts) === undefined
        ? 'it was written by an earlier version, without checksums'
        : 'it has another number of pictures or another shape';
  return new UsageError(
    `${path} holds the latents of other pictures: ${difference}; delete it or name another file`,
  );
}

function checksumOf(content: Content, block: number): number {
  // The checksum is signed, as the file has it, and never the 0 of a block that was not written.
  return crc32(blockOf(content, block), content.layout.identity) | 0 || 1;
}

function blockOf({ values, blockLength }: Content, block: number): Uint8Array {
  const { buffer, byteOffset, byteLength } = values.subarray(block * blockLength, (block + 1) * blockLength);
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** Node refuses to read 2 GiB at once. */
const MAX_CHUNK = 2 ** 30;

/** Fills the array from `offset` on, as far as the file reaches. */
async function readAt<T extends ArrayBufferView>(file: FileHandle, offset: number, into: T): Promise<T> {
  const bytes = new Uint8Array(into.buffer, into.byteOffset, into.byteLength);
  for (let done = 0; done < bytes.byteLength; ) {
    const length = Math.min(bytes.byteLength - done, MAX_CHUNK);
    const { bytesRead } = await file.read(bytes, done, length, offset + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return into;
}

async function writeAt(file: FileHandle, data: ArrayBufferView, offset: number): Promise<void> {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  for (let done = 0; done < bytes.byteLength; ) {
    done += (await file.write(bytes, done, bytes.byteLength - done, offset + done)).bytesWritten;
  }
}
