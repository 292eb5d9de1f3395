/** The folder of a run: one process at a time, one training, on the same data from beginning to end. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { UsageError } from '../../errors.ts';
import { formatJson } from '../../files/format-json.ts';
import { isJsonObject, type JsonObject, parseJsonObject } from '../../files/json.ts';
import { acquireLock } from '../../files/node/lock.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { unwritable } from '../../files/node/unwritable.ts';
import { shown } from '../../messages.ts';
import { removeLeftovers, writeFileAtomically } from '../../weights/node/atomic-write.ts';
import type { RunConfig } from './config.ts';
import type { Watch } from './pictures.ts';

export interface RunDirectory extends Watch {
  readonly directory: string;
  readonly config: RunConfig;
  /** Says what is trained on, by kind. */
  readonly data: Readonly<Record<string, string>>;
}

/**
 * Trains in the run's folder, which is this process's alone meanwhile. Throws InputError when another process has it, and
 * UsageError when it holds a run with other settings or on other data.
 */
export async function inRunDirectory<T>(run: RunDirectory, use: () => Promise<T>): Promise<T> {
  const { directory, onProgress, signal } = run;
  await mkdir(directory, { recursive: true }).catch((error) => {
    throw unwritable(directory, error);
  });
  const lock = await acquireLock(join(directory, '.lock'), {
    what: `the run in ${directory}`,
    signal,
    onWatching: (holder, seconds) =>
      onProgress?.({
        type: 'phase',
        message: `${directory} was last used by ${holder}; waiting up to ${seconds} s for a sign that it still is`,
      }),
  });
  try {
    for (const folder of ['', 'model', 'samples']) await removeLeftovers(join(directory, folder));
    await checkConfig(run);
    await checkData(run);
    return await use();
  } finally {
    await lock.release();
  }
}

/** Settings that may differ when a run is resumed: they change neither the numbers so far nor what they mean. */
const CHANGEABLE: ReadonlySet<string> = new Set(['steps', 'epochs', 'cadence', 'validationPrompts']);

/** Stores the settings as `config.json`. Throws UsageError when it holds others, which would mix two trainings. */
async function checkConfig({ directory, config }: RunDirectory): Promise<void> {
  const path = join(directory, 'config.json');
  const text = await readTextIfThere(path);
  const stored = text === undefined ? {} : parseJsonObject(text, path);
  const wanted = JSON.parse(JSON.stringify(config)) as JsonObject;
  for (const [name, value] of Object.entries(stored)) {
    const found = CHANGEABLE.has(name) ? undefined : difference(value, wanted[name], name);
    if (!found) continue;
    throw new UsageError(
      `${directory} holds a training with ${found.path} ${shown(found.stored)}, asked for is ${shown(found.wanted)}; use the same settings to go on with it, or another folder`,
    );
  }
  await writeFileAtomically(path, [formatJson(wanted)]);
}

interface Difference {
  /** `optimizer.learningRate`. */
  readonly path: string;
  readonly stored: unknown;
  readonly wanted: unknown;
}

/** A setting that the stored run does not know came later, and its default means what was done before. */
function difference(stored: unknown, wanted: unknown, path: string): Difference | undefined {
  if (!isJsonObject(stored) || !isJsonObject(wanted)) {
    return isDeepStrictEqual(stored, wanted) ? undefined : { path, stored, wanted };
  }
  for (const [name, value] of Object.entries(stored)) {
    const found = difference(value, wanted[name], `${path}.${name}`);
    if (found) return found;
  }
  return undefined;
}

/** Stores what is trained on as `data.json`. Throws UsageError when the run has been trained on something else. */
async function checkData({ directory, data }: RunDirectory): Promise<void> {
  const path = join(directory, 'data.json');
  const text = await readTextIfThere(path);
  const stored = text === undefined ? data : parseJsonObject(text, path);
  const changed = Object.keys(data).find((name) => stored[name] !== data[name]);
  if (changed !== undefined) {
    throw new UsageError(
      `the ${changed} that the run in ${directory} is trained on have changed since it began (${shown(stored[changed])}, now ${shown(data[changed])}); bring them back as they were, or use another folder for the run`,
    );
  }
  if (text === undefined && Object.keys(data).length > 0) await writeFileAtomically(path, [formatJson(data)]);
}
