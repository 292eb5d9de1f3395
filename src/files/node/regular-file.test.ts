import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError } from '../../errors.ts';
import { isMissing, readBytes, withRegularFile } from './regular-file.ts';

const onWindows = process.platform === 'win32';
let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'regular-file-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

const failure = (read: Promise<unknown>): Promise<Error> =>
  read.then(
    () => Promise.reject(new Error('it should have failed')),
    (error: Error) => error,
  );

it('reads a file, also one that a link leads to', async () => {
  writeFileSync(join(folder, 'a.json'), '{}');
  symlinkSync('a.json', join(folder, 'b.json'));
  expect(String(await readBytes(join(folder, 'a.json'), 2))).toBe('{}');
  expect(String(await readBytes(join(folder, 'b.json'), 2))).toBe('{}');
});

it.skipIf(process.platform !== 'linux')('reads files that do not say how long they are', async () => {
  expect(String(await readBytes('/proc/self/status', 2 ** 20))).toMatch(/^Name:/);
  expect((await failure(readBytes('/proc/self/status', 16))).message).toMatch(/larger than the 16 bytes/);
});

it('refuses a file that is larger than it may be', async () => {
  const path = join(folder, 'a.json');
  writeFileSync(path, '123');
  const error = await failure(readBytes(path, 2));
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).toMatch(/a\.json is larger than the 2 bytes that such a file may have/);
});

it('reads what is added while it reads, up to the limit', async () => {
  const path = join(folder, 'a.txt');
  writeFileSync(path, 'x'.repeat(1000));
  const reading = readBytes(path, 10_000);
  appendFileSync(path, 'y'.repeat(100_000));
  const outcome = await reading.then(String, (error: Error) => error);
  if (outcome instanceof Error) expect(outcome.message).toMatch(/larger than the 10000 bytes/);
  else expect(outcome).toBe('x'.repeat(1000));
});

const missing = () => join(folder, 'none');
it('says that there is none', async () => {
  const error = await failure(readBytes(missing(), 1));
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).toBe(`cannot read ${missing()}: there is no such file`);
  expect(isMissing(error)).toBe(true);
  writeFileSync(join(folder, 'file'), '');
  expect(isMissing(await failure(readBytes(join(folder, 'file', 'none'), 1)))).toBe(true);
});

it('names what is no file, without opening it', async () => {
  const error = await failure(readBytes(folder, 1));
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).toBe(`${folder} is a folder; expected a file`);
  expect(isMissing(error)).toBe(false);
});

it.skipIf(onWindows)('does not wait at a named pipe, nor read a device or a socket', async () => {
  const pipe = join(folder, 'pipe');
  execFileSync('mkfifo', [pipe]);
  expect((await failure(readBytes(pipe, 1))).message).toBe(`${pipe} is a named pipe; expected a file`);
  expect((await failure(readBytes('/dev/zero', 1))).message).toBe('/dev/zero is a device; expected a file');
  const socket = join(folder, 'socket');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  try {
    expect((await failure(readBytes(socket, 1))).message).toBe(`${socket} is a socket; expected a file`);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
});

it.skipIf(onWindows)('says in words what the system says in letters', async () => {
  const reason = async (path: string) => {
    const error = await failure(readBytes(path, 1));
    expect(error).toBeInstanceOf(InputError);
    return error.message.split(': ')[1];
  };
  symlinkSync('circle', join(folder, 'circle'));
  expect(await reason(join(folder, 'circle'))).toBe('it is a symbolic link that leads in a circle');
  expect(await reason(join(folder, 'x'.repeat(300)))).toBe('its name is longer than names of files can be');
  expect(await reason(join(folder, 'a\0b'))).toBe('names of files hold no NUL character');
  const locked = join(folder, 'locked');
  mkdirSync(locked);
  writeFileSync(join(locked, 'a'), '');
  chmodSync(locked, 0);
  // The superuser may read everything.
  if (process.getuid?.() !== 0) {
    expect(await reason(join(locked, 'a'))).toBe('you may not read it; check its permissions');
  }
  chmodSync(locked, 0o700);
});

it('hands on what goes wrong with the file in hand', async () => {
  const path = join(folder, 'a');
  writeFileSync(path, '');
  const abort = new DOMException('enough', 'AbortError');
  const used = withRegularFile(path, async () => {
    throw abort;
  });
  expect(await failure(used)).toBe(abort);
});
