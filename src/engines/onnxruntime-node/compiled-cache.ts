/**
 * What ONNX Runtime made of large models, on the disk for the processes to come: the optimised graph, and a file with
 * the weights as its kernels read them, cast and packed. Such a file is mapped into memory where it lies: nothing is
 * read before it is needed, nothing is held twice, and the system can let go of it at any time. What is computed is the
 * same to the bit.
 *
 * An entry is a folder named by all that it depends on. It is written beside and renamed, so that it is complete when it
 * is there.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { open, readdir, readFile, rm, stat, utimes } from 'node:fs/promises';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { removeLeftovers, writeDirectoryAtomically, writeDurably } from '../../weights/node/atomic-write.ts';
import { onnxRuntimeInstallation } from './installation.ts';

/** The names in an entry. */
const MODEL = 'model.onnx';
export const WEIGHTS = 'weights.bin';
/** Tells the sizes of the two. */
const SIZES = 'sizes.json';

/** What all entries together may take; those that were used least recently go. */
export const MOST_BYTES = 20e9;

/** Entries that this process is making, by their paths. */
const making = new Map<string, Promise<void>>();

/** Folders that this process has rid of what others left half written; done again, it would take this one's own. */
const cleared = new Map<string, Promise<void>>();

export class CompiledCache {
  /** It is made when the first entry is. */
  readonly folder: string;
  readonly #mostBytes: number;
  /** What this process uses, which is not let go. */
  readonly #used = new Set<string>();

  constructor(folder: string, mostBytes = MOST_BYTES) {
    this.folder = folder;
    this.#mostBytes = mostBytes;
  }

  /** The path of an entry's model; undefined where there is none, or one that is damaged. */
  async find(key: string): Promise<string | undefined> {
    const entry = join(this.folder, key);
    // Where a file is cut off, the process would end by touching what is mapped of it.
    if (!(await isWhole(entry))) return undefined;
    const now = new Date();
    await utimes(entry, now, now);
    this.#used.add(key);
    return join(entry, MODEL);
  }

  /**
   * Makes an entry: `make` writes a model to the path that it is given, and its weights beside it as `WEIGHTS`. Throws
   * InputError when the folder cannot be written.
   */
  async add(key: string, make: (modelPath: string) => Promise<void>): Promise<void> {
    const entry = join(this.folder, key);
    const made = making.get(entry) ?? this.#make(entry, make);
    making.set(entry, made);
    try {
      await made;
    } finally {
      making.delete(entry);
    }
    this.#used.add(key);
    await this.#trim();
  }

  async #make(entry: string, make: (modelPath: string) => Promise<void>): Promise<void> {
    const clear = cleared.get(this.folder) ?? removeLeftovers(this.folder);
    cleared.set(this.folder, clear);
    await clear;
    await writeDirectoryAtomically(
      entry,
      async (partial) => {
        await make(join(partial, MODEL));
        const names = await readdir(partial);
        const sizes = await Promise.all(
          names.map(async (name) => [name, await bringToDisk(join(partial, name))]),
        );
        const text = JSON.stringify(Object.fromEntries(sizes));
        await writeDurably(join(partial, SIZES), [new TextEncoder().encode(text)]);
      },
      { replace: true },
    );
  }

  /** Removes those that were used least recently until the rest is small enough. */
  async #trim(): Promise<void> {
    const names = (await readdir(this.folder)).filter((name) => !name.startsWith('.'));
    const entries = await Promise.all(names.map((name) => entryOf(this.folder, name)));
    let sum = entries.reduce((bytes, entry) => bytes + entry.bytes, 0);
    for (const { name, bytes } of entries.toSorted((a, b) => a.lastUse - b.lastUse)) {
      if (sum <= this.#mostBytes) return;
      if (this.#used.has(name)) continue;
      // Another process that has it mapped keeps it until it is done.
      await rm(join(this.folder, name), { recursive: true, force: true });
      sum -= bytes;
    }
  }
}

/** A name for what `parts`, this processor and this version of ONNX Runtime decide. */
export function cacheKey(parts: readonly (string | Uint8Array)[]): string {
  const { version } = onnxRuntimeInstallation();
  const hash = createHash('sha256');
  for (const part of [version, ...processor(), ...parts]) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, 32);
}

/** Kernels, and the order in which they read weights, are chosen by what the processor can do. */
function processor(): readonly string[] {
  // A virtual machine may hide some of what its processor has.
  const flags = process.platform === 'linux' ? readFileSync('/proc/cpuinfo', 'utf8') : '';
  const [listed = ''] = /^(?:flags|Features)\s*:.*$/m.exec(flags) ?? [];
  return [process.platform, process.arch, cpus()[0]?.model ?? '', listed];
}

async function isWhole(entry: string): Promise<boolean> {
  try {
    const sizes = JSON.parse(await readFile(join(entry, SIZES), 'utf8')) as Readonly<Record<string, number>>;
    const stats = await Promise.all(Object.keys(sizes).map((name) => stat(join(entry, name))));
    return MODEL in sizes && Object.values(sizes).every((size, i) => stats[i]!.size === size);
  } catch (error) {
    if (isGone(error) || error instanceof SyntaxError) return false;
    throw error;
  }
}

interface Entry {
  readonly name: string;
  readonly bytes: number;
  readonly lastUse: number;
}

/** One that another process removes meanwhile takes nothing. */
async function entryOf(folder: string, name: string): Promise<Entry> {
  const path = join(folder, name);
  try {
    const { mtimeMs: lastUse } = await stat(path);
    const files = await Promise.all((await readdir(path)).map((file) => stat(join(path, file))));
    return { name, lastUse, bytes: files.reduce((sum, { size }) => sum + size, 0) };
  } catch (error) {
    if (isGone(error)) return { name, bytes: 0, lastUse: 0 };
    throw error;
  }
}

/** Brings a file to the disk, and tells its size. */
async function bringToDisk(path: string): Promise<number> {
  const file = await open(path, 'r+');
  try {
    await file.sync();
    return (await file.stat()).size;
  } finally {
    await file.close();
  }
}

function isGone(error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' || code === 'ENOTDIR';
}
