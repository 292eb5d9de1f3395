import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { InputError, UsageError } from '../../errors.ts';
import { autoencoderRunConfig } from './autoencoder-config.ts';
import { inRunDirectory, type RunDirectory } from './run-directory.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'run-'));
});
afterEach(() => rm(directory, { recursive: true }));

const config = autoencoderRunConfig({ steps: 10 });
const open = (changes: Partial<RunDirectory> = {}) =>
  inRunDirectory({ directory, config, data: { pictures: 'ten' }, ...changes }, async () =>
    readdir(directory),
  );

it('is this process’s alone while it is used, and keeps settings and data', async () => {
  expect((await open()).sort()).toEqual(['.lock.1', 'config.json', 'data.json']);
  expect((await readdir(directory)).sort()).toEqual(['config.json', 'data.json']);
  const nested = inRunDirectory({ directory, config, data: {} }, () => open());
  await expect(nested).rejects.toThrow(/^the run in .* is in use by process \d+/);
  await expect(nested).rejects.toThrow(InputError);
});

it('goes on only with the same settings, but for how long and how often', async () => {
  await open();
  await open({ config: autoencoderRunConfig({ steps: 20, cadence: { logEvery: 1 } }) });
  const other = open({ config: autoencoderRunConfig({ optimizer: { schedule: { warmupSteps: 7 } } }) });
  await expect(other).rejects.toThrow(UsageError);
  await expect(other).rejects.toThrow(
    /holds a training with optimizer\.schedule\.warmupSteps 100, asked for is 7; use the same settings/,
  );
  // A setting that came later, at whatever depth, has the default that was meant before.
  const path = join(directory, 'config.json');
  const stored = JSON.parse(await readFile(path, 'utf8'));
  delete stored.latentNoise;
  delete stored.data.size;
  await writeFile(path, JSON.stringify(stored));
  await open();
});

it('goes on only on the same data', async () => {
  await open();
  const other = open({ data: { pictures: 'eleven' } });
  await expect(other).rejects.toThrow(UsageError);
  await expect(other).rejects.toThrow(
    /^the pictures that the run in .* is trained on have changed since it began \("ten", now "eleven"\); bring/,
  );
});

it('says which file is damaged, and leaves all as it is', async () => {
  for (const name of ['config.json', 'data.json']) {
    for (const [content, message] of [
      ['', /is not valid JSON/],
      ['{"steps": 10', /is not valid JSON/],
      ['null', /must hold a JSON object, found null/],
      ['[]', /must hold a JSON object, found a list/],
    ] as const) {
      await open();
      const path = join(directory, name);
      const whole = await readFile(path);
      await writeFile(path, content);
      const damaged = open();
      await expect(damaged).rejects.toThrow(InputError);
      await expect(damaged).rejects.toThrow(message);
      await expect(damaged).rejects.toThrow(path);
      expect(await readFile(path, 'utf8')).toBe(content);
      await writeFile(path, whole);
    }
  }
});

it('says so where no folder can be', async () => {
  await writeFile(join(directory, 'file'), '');
  const inside = open({ directory: join(directory, 'file', 'run') });
  await expect(inside).rejects.toThrow(/^cannot write .*run: a part of the path is a file, not a folder/);
});
