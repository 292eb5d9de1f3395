/**
 * Locks on folders and files: one process at a time, and a process that ends, however it ends, lets go.
 *
 * Node reaches none of the locks that the system itself takes back: there is no flock, the flag O_EXLOCK exists on
 * macOS and Windows only, and a socket in the folder needs a short path, a file system that has sockets, and looks
 * abandoned from another machine. So a lock is a file that names its holder, and whoever finds it decides whether
 * the holder lives:
 *
 * - where process numbers mean the same to both (one machine since one start, one container), by the number and the
 *   moment at which the process began, which no later process of that number shares;
 * - anywhere else (another container or machine on the same folder, systems that do not tell when a process began) by
 *   watching the file: a holder touches it every two seconds. Clocks are not compared, because they differ.
 *
 * An abandoned lock is not overwritten, which two processes could do at once, but succeeded: locks are numbered, the
 * highest number holds, and a number can be created only once. Whoever created one and then sees a higher one has
 * come too late.
 */
import { type FileHandle, open, readFile, readlink, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { InputError } from '../../errors.ts';
import { namesIn, unreadable } from './regular-file.ts';
import { unwritable } from './unwritable.ts';

export interface FileLock {
  release(): Promise<void>;
}

export interface LockOptions {
  /** What is locked, for the message: `the run in runs/lcm`. */
  readonly what: string;
  readonly signal?: AbortSignal | undefined;
  /** Hears for how many seconds the holder has to be watched, when it has to be. */
  readonly onWatching?: (holder: string, seconds: number) => void;
  /** Milliseconds between two signs of life. */
  readonly beat?: number;
  /** Milliseconds without one after which a holder that cannot be asked for is taken for dead. */
  readonly patience?: number;
}

/** Who holds a lock, as its file says. */
interface Holder {
  readonly pid: number;
  readonly host: string;
  /** Where the process number means something: the start of the machine and the container. */
  readonly scope: string;
  /** When the process began, in the system's own unit; null where the system does not tell. */
  readonly began: string | null;
  readonly since: string;
}

const BEAT = 2000;
/** A process that computes on its main thread may be late with a sign of life. */
const PATIENCE = 30_000;

/**
 * Takes the lock whose files are called `<path>.<number>`, or throws InputError that says who holds it. The folder must
 * exist.
 */
export async function acquireLock(path: string, options: LockOptions): Promise<FileLock> {
  for (;;) {
    const highest = (await numbers(path)).at(-1) ?? 0;
    if (highest > 0) await requireAbandoned(`${path}.${highest}`, options);
    const number = highest + 1;
    const file = await create(`${path}.${number}`);
    if (!file) continue; // another process was faster
    const lock = await hold(file, `${path}.${number}`, options.beat ?? BEAT);
    const all = await numbers(path);
    if (all.at(-1) === number) {
      for (const other of all.slice(0, -1)) await rm(`${path}.${other}`, { force: true });
      return lock;
    }
    await lock.release();
  }
}

/** Removes what processes left of the lock that have ended, for those who do not need it any more. */
export async function removeAbandonedLocks(path: string): Promise<void> {
  for (const number of await numbers(path)) {
    const found = await readLock(`${path}.${number}`);
    if (found?.holder && (await lifeOf(found.holder)) === 'dead')
      await rm(`${path}.${number}`, { force: true });
  }
}

/** Numbers of the lock's files, in ascending order. */
async function numbers(path: string): Promise<number[]> {
  const prefix = `${basename(path)}.`;
  const names = await namesIn(dirname(resolve(path)));
  return names
    .filter((name) => name.startsWith(prefix) && /^[1-9]\d*$/.test(name.slice(prefix.length)))
    .map((name) => Number(name.slice(prefix.length)))
    .sort((a, b) => a - b);
}

/** Creates a file; undefined when there is one of that name. */
async function create(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'wx');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return undefined;
    throw unwritable(path, error);
  }
}

/** Writes who holds the new lock file, and shows signs of life until it is released. */
async function hold(file: FileHandle, path: string, beat: number): Promise<FileLock> {
  const { ino } = await file.stat();
  const remove = async () => {
    // A process that came too late may find its file removed, and another's of the same name.
    const found = await stat(path).catch(ignoreMissing);
    if (found?.ino === ino) await rm(path, { force: true });
  };
  try {
    const holder: Holder = { ...(await self()), since: new Date().toISOString() };
    await file.writeFile(`${JSON.stringify(holder)}\n`);
  } catch (error) {
    await remove();
    throw unwritable(path, error);
  } finally {
    await file.close();
  }
  let touching: Promise<unknown> = Promise.resolve();
  const timer = setInterval(() => {
    const now = new Date();
    // Whoever removes a lock by hand has been told what that means; a disk that fails is met by what is written next.
    touching = utimes(path, now, now).catch(() => {});
  }, beat).unref();
  return {
    async release() {
      clearInterval(timer);
      await touching;
      await remove();
    },
  };
}

/** Returns when the lock file's holder has ended or let go; throws InputError when it lives. */
async function requireAbandoned(path: string, options: LockOptions): Promise<void> {
  const { what, onWatching, signal, beat = BEAT, patience = PATIENCE } = options;
  let seen: number | undefined;
  let watchedSince = 0;
  for (;;) {
    // The file is opened and asked through the handle, because network file systems remember for a while what names
    // have.
    const found = await readLock(path);
    if (!found) return;
    const { holder, touched } = found;
    const life = holder ? await lifeOf(holder) : 'unknown';
    if (life === 'dead') return;
    const changed = seen !== undefined && touched !== seen;
    if (life === 'alive' || (changed && holder)) {
      throw new InputError(
        `${what} is in use by ${describe(holder!)}; wait until it has ended, or choose another place`,
        { code: 'in-use' },
      );
    }
    if (seen === undefined || changed) {
      if (seen === undefined) onWatching?.(holder ? describe(holder) : 'an unknown process', patience / 1000);
      seen = touched;
      watchedSince = performance.now();
    } else if (performance.now() - watchedSince >= patience) {
      return;
    }
    await wait(Math.min(beat, patience) / 4, undefined, { signal });
  }
}

/** What a lock file says; its holder is undefined while it is being written, and after a crash in that moment. */
async function readLock(path: string): Promise<{ holder: Holder | undefined; touched: number } | undefined> {
  const file = await open(path, 'r').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw unreadable(path, error);
  });
  if (!file) return undefined;
  try {
    const { mtimeMs } = await file.stat();
    return { holder: parseHolder(await file.readFile('utf8')), touched: mtimeMs };
  } finally {
    await file.close();
  }
}

function parseHolder(text: string): Holder | undefined {
  let value: Partial<Record<keyof Holder, unknown>> | null;
  try {
    value = JSON.parse(text);
  } catch {
    return undefined; // cut off: as good as empty
  }
  const { pid, host, scope, began, since } = value ?? {};
  if (typeof pid !== 'number' || typeof host !== 'string' || typeof since !== 'string') return undefined;
  if (typeof scope !== 'string' || (began !== null && typeof began !== 'string')) return undefined;
  return { pid, host, scope, began, since };
}

async function lifeOf(holder: Holder): Promise<'alive' | 'dead' | 'unknown'> {
  const here = await self();
  if (holder.scope !== here.scope) return 'unknown';
  if (!isRunning(holder.pid)) return 'dead';
  const began = await beginningOf(holder.pid);
  if (began === undefined) return 'dead';
  if (began === null || holder.began === null) return 'unknown';
  return began === holder.began ? 'alive' : 'dead';
}

async function self(): Promise<Omit<Holder, 'since'>> {
  const began = (await beginningOf(process.pid)) ?? null;
  return { pid: process.pid, host: hostname(), scope: await scope(), began };
}

/** The same for two processes only when one knows the other by its number. */
async function scope(): Promise<string> {
  if (process.platform !== 'linux') return hostname();
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => hostname());
  const namespace = await readlink('/proc/self/ns/pid').catch(() => '');
  return `${boot.trim()} ${namespace}`;
}

/**
 * Ticks from the machine's start to the process's, as Linux counts them; null where nobody tells. Undefined for a process
 * that has ended, and waits only for its parent to hear of it.
 */
async function beginningOf(pid: number): Promise<string | null | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null);
  if (text === null) return null;
  // The second field is the program's name in parentheses, which may hold spaces; the third is the state.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === 'Z' || fields[0] === 'X' ? undefined : (fields[22 - 3] ?? null);
}

/** Whether there is a process of that number, even one of another user. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function describe({ pid, host, since }: Holder): string {
  const where = host === hostname() ? '' : ` on ${host}`;
  return `process ${pid}${where}, since ${since.slice(0, 19).replace('T', ' ')} UTC`;
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
}
