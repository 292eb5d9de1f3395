/** One input, used as people use it, and whether what came of it is what is promised. */
import { readFileSync, writeFileSync } from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, SettingError, UsageError } from '../../src/errors.ts';
import type { Kind, Reading } from './kind.ts';
import { Random } from './random.ts';

export interface Attempt {
  readonly outcome: Reading | 'refused';
  /** What is wrong with what came of it; undefined when nothing is. */
  readonly fault?: string;
  /** Of a refusal, for people. */
  readonly message?: string;
  /** Bytes of resident memory above those before, at most. */
  readonly memory: number;
  /** Seconds of processor time of all threads. */
  readonly seconds: number;
}

/** Bytes above what a process had before an input that are too many for any. */
export const MOST_MEMORY = 2 ** 30;
/** Seconds of processor time that are too many for any input. */
export const MOST_SECONDS = 5;

export async function attempt(kind: Kind, seed: number, index: number, folder: string): Promise<Attempt> {
  const place = join(folder, `${index}`);
  await rm(place, { recursive: true, force: true });
  await mkdir(place, { recursive: true });
  try {
    const input = await kind.make(new Random(seed, kind.name, index), place);
    forgetPeak();
    const before = process.memoryUsage.rss();
    const processor = process.cpuUsage();
    let came: Pick<Attempt, 'outcome' | 'fault' | 'message'>;
    try {
      came = { outcome: await input.use() };
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      came = { outcome: 'refused', message, fault: faultOf(error, input.names) };
    }
    const { user, system } = process.cpuUsage(processor);
    const seconds = (user + system) / 1e6;
    const memory = Math.max(0, peak() - before);
    const excess =
      memory > MOST_MEMORY
        ? `took ${(memory / 2 ** 30).toFixed(2)} GiB`
        : seconds > MOST_SECONDS
          ? `took ${seconds.toFixed(1)} s of processor time`
          : undefined;
    return {
      ...came,
      ...((came.fault ?? excess) !== undefined && { fault: came.fault ?? excess }),
      memory,
      seconds,
    };
  } finally {
    await rm(place, { recursive: true, force: true });
  }
}

/** What V8, Node and the system say, which is no message for people. */
const RAW =
  /undefined|\[object |Cannot (read propert|convert|destructure|mix|create)|is not (a function|iterable|defined|a constructor)|Unexpected (token|end of)|in JSON at position|Invalid (array|string|typed array) length|Maximum call stack|out of bounds|out of memory|must be of type|ERR_[A-Z]|\bE[A-Z]{4,}:/;

/** What is wrong with an error that an input led to; undefined when it is a refusal as it has to be. */
export function faultOf(error: unknown, names: readonly string[]): string | undefined {
  if (!(error instanceof InputError || error instanceof UsageError)) {
    const { name, message, stack } = Object(error) as Partial<Error>;
    return `${name ?? typeof error}: ${message ?? String(error)}\n${stack?.split('\n').slice(1, 6).join('\n') ?? ''}`;
  }
  const { message } = error;
  if (message.length >= 500) return `a message of ${message.length} characters`;
  if (RAW.test(message)) return 'a message that is not for people';
  // What is wrong with a setting is said with its name.
  if (error instanceof SettingError) return undefined;
  if (names.length > 0 && !names.some((name) => message.includes(name)))
    return 'a message that names no file';
  return undefined;
}

/** Where the system counts the peak of resident memory and lets it be counted anew. */
const LINUX = process.platform === 'linux';

function forgetPeak(): void {
  if (LINUX) writeFileSync('/proc/self/clear_refs', '5');
}

/** Bytes of resident memory at most, on Linux since `forgetPeak`, elsewhere now. */
function peak(): number {
  if (!LINUX) return process.memoryUsage.rss();
  const line = /VmHWM:\s+(\d+) kB/.exec(readFileSync('/proc/self/status', 'utf8'));
  return 1024 * Number(line?.[1]);
}
