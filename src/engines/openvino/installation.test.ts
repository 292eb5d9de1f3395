import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { findOpenVino, notFound, openVinoLibrary } from './installation.ts';

const names: Readonly<Partial<Record<NodeJS.Platform, string>>> = {
  darwin: 'libopenvino_c.dylib',
  win32: 'openvino_c.dll',
};
const name = names[process.platform] ?? 'libopenvino_c.so.2641';
const root = mkdtempSync(join(tmpdir(), 'openvino-'));
afterAll(() => rmSync(root, { recursive: true }));

function library(...path: string[]): string {
  const file = join(root, ...path, name);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, '');
  return file;
}

describe('OPENVINO_LIB', () => {
  it('names the library or its folder, and nothing else is looked at', () => {
    const file = library('anywhere');
    for (const named of [file, dirname(file)]) {
      const found = findOpenVino({ OPENVINO_LIB: named, VIRTUAL_ENV: root });
      expect(found).toEqual({ path: file, origin: 'OPENVINO_LIB' });
    }
  });

  it('is refused where there is no such library', () => {
    const empty = join(root, 'empty');
    mkdirSync(empty);
    for (const named of [empty, join(root, 'missing')]) {
      expect(() => findOpenVino({ OPENVINO_LIB: named })).toThrow(
        /OPENVINO_LIB is .*; expected .*openvino_c/,
      );
    }
  });
});

it.runIf(process.platform !== 'win32')('finds an archive that was set up before the active Python', () => {
  const runtime = process.platform === 'darwin' ? 'runtime/lib/arm64/Release' : 'runtime/lib/intel64';
  const archive = library('archive', runtime);
  const wheel = library('venv', 'lib/python3.12/site-packages/openvino/libs');
  const environment = { VIRTUAL_ENV: join(root, 'venv') };
  expect(findOpenVino(environment)).toMatchObject({ path: wheel, origin: 'the active Python environment' });
  const both = { ...environment, INTEL_OPENVINO_DIR: join(root, 'archive') };
  expect(findOpenVino(both)).toMatchObject({ path: archive, origin: 'INTEL_OPENVINO_DIR' });
});

it.runIf(process.platform !== 'win32')("finds the wheel of the PATH's Python", () => {
  mkdirSync(join(root, 'prefix/bin'), { recursive: true });
  writeFileSync(join(root, 'prefix/bin/python3'), '');
  const wheel = library('prefix', 'lib/python3.13/site-packages/openvino/libs');
  expect(findOpenVino({ PATH: join(root, 'prefix/bin') })).toMatchObject({ path: wheel });
});

it('says where it looked and how to get it where it finds none', () => {
  expect(notFound).toMatch(
    /^not found in OPENVINO_LIB, .*site-packages.*; get it with "pip install openvino"/,
  );
  // A message is shortened from 500 characters on.
  expect(`OpenVINO was ${notFound}`.length).toBeLessThan(500);
  if (findOpenVino({}).path === undefined) expect(() => openVinoLibrary({})).toThrow(notFound);
});
