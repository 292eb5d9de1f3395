import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { acquireLock, removeAbandonedLocks } from './lock.ts';

let folder: string;
let path: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'lock-'));
  path = join(folder, '.lock');
});
afterEach(() => rm(folder, { recursive: true }));

const what = 'the run in runs/lcm';

/** A lock file as a process leaves it that ended without letting go. */
async function abandoned(changes: object = {}): Promise<void> {
  const lock = await acquireLock(path, { what });
  const own = JSON.parse(await readFile(`${path}.1`, 'utf8'));
  await lock.release();
  await writeFile(`${path}.1`, JSON.stringify({ ...own, ...changes }));
}

/** The number of a process that has ended. */
async function endedProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'close');
  return child.pid!;
}

it('keeps others out until it is released', async () => {
  const lock = await acquireLock(path, { what });
  const refused = await acquireLock(path, { what }).catch((error: Error) => error);
  expect(refused).toBeInstanceOf(InputError);
  expect((refused as Error).message).toMatch(
    new RegExp(
      `^the run in runs/lcm is in use by process ${process.pid}, since 2.* UTC; wait until it has ended`,
    ),
  );
  await lock.release();
  expect(await readdir(folder)).toEqual([]);
  await (await acquireLock(path, { what })).release();
});

it('ends with its holder, whose number another process may have by now', async () => {
  await abandoned({ pid: await endedProcess() });
  const lock = await acquireLock(path, { what });
  expect(await readdir(folder)).toEqual(['.lock.2']);
  await lock.release();
  if (process.platform !== 'linux') return;
  await abandoned({ began: '1' });
  await (await acquireLock(path, { what })).release();
  expect(await readdir(folder)).toEqual([]);
});

it('is taken over by one of many', async () => {
  await abandoned({ pid: await endedProcess() });
  const attempts = await Promise.allSettled(Array.from({ length: 20 }, () => acquireLock(path, { what })));
  const won = attempts.filter(({ status }) => status === 'fulfilled');
  expect(won).toHaveLength(1);
  for (const attempt of attempts) {
    if (attempt.status === 'rejected') expect(attempt.reason.message).toMatch(/in use by process/);
    else await attempt.value.release();
  }
  expect(await readdir(folder)).toEqual([]);
});

it('watches a holder elsewhere, and goes by its signs of life', async () => {
  await abandoned({ scope: 'another machine', host: 'elsewhere', pid: 7 });
  const watched: [string, number][] = [];
  const options = {
    what,
    beat: 50,
    patience: 1000,
    onWatching: (holder: string, seconds: number) => watched.push([holder, seconds]),
  };
  const alive = setInterval(() => utimes(`${path}.1`, new Date(), new Date()), 50);
  try {
    await expect(acquireLock(path, options)).rejects.toThrow(/in use by process 7 on elsewhere, since/);
  } finally {
    clearInterval(alive);
  }
  expect(watched).toEqual([[expect.stringMatching(/^process 7 on elsewhere/), 1]]);

  const begun = performance.now();
  await (await acquireLock(path, options)).release();
  expect(performance.now() - begun).toBeGreaterThan(1000);
});

it('shows signs of life', async () => {
  const lock = await acquireLock(path, { what, beat: 20 });
  const own = JSON.parse(await readFile(`${path}.1`, 'utf8'));
  expect(own).toMatchObject({ pid: process.pid, host: hostname() });
  // What it says of itself is made to mean nothing here, so that only the signs count.
  await writeFile(`${path}.1`, JSON.stringify({ ...own, scope: 'another machine' }));
  await expect(acquireLock(path, { what, beat: 20, patience: 2000 })).rejects.toThrow(/in use by process/);
  await lock.release();
});

it('outlives a crash in the middle of its first line', async () => {
  for (const text of ['', '{"pid": 1', 'null', '{"pid": "1"}']) {
    await writeFile(`${path}.3`, text);
    await (await acquireLock(path, { what, patience: 100 })).release();
    expect(await readdir(folder)).toEqual([]);
  }
});

it('stops watching when it is asked to', async () => {
  await abandoned({ scope: 'another machine' });
  const watching = acquireLock(path, { what, signal: AbortSignal.timeout(50) });
  await expect(watching).rejects.toThrow(/abort/i);
  expect(await readdir(folder)).toEqual(['.lock.1']);
});

it('is cleared away by those who do not need it, unless somebody has it', async () => {
  const lock = await acquireLock(path, { what });
  await removeAbandonedLocks(path);
  expect(await readdir(folder)).toEqual(['.lock.1']);
  await lock.release();
  await abandoned({ scope: 'another machine' });
  await removeAbandonedLocks(path);
  expect(await readdir(folder)).toEqual(['.lock.1']);
  await rm(`${path}.1`);
  await abandoned({ pid: await endedProcess() });
  await removeAbandonedLocks(path);
  expect(await readdir(folder)).toEqual([]);
});
