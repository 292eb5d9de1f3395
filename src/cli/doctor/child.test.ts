import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { askChild } from './child.ts';

const folder = mkdtempSync(join(tmpdir(), 'lcm-child-'));
afterAll(() => rmSync(folder, { recursive: true }));
function module(code: string): string {
  const path = join(folder, `${crypto.randomUUID()}.mjs`);
  writeFileSync(path, code);
  return path;
}

it('gives the message that a module sends, numbers as they are', async () => {
  const echo = module('process.send([process.argv[2], NaN], () => process.disconnect());');
  expect(await askChild(echo, ['webgpu'])).toEqual(['webgpu', Number.NaN]);
});

it('survives a process that is torn down, and repeats what it said last', async () => {
  const crash = module("import fs from 'node:fs'; fs.writeSync(2, 'hm\\nno driver\\n'); process.abort();");
  await expect(askChild(crash, [])).rejects.toThrow(/^its process ended with SIGABRT: (?:.|\n)+/);
  const exit = module("console.error('no driver'); process.exitCode = 7;");
  await expect(askChild(exit, [])).rejects.toThrow('its process ended with code 7: no driver');
});

it('does not wait forever, nor after it was cancelled', async () => {
  const silent = module('setInterval(() => {}, 1000);');
  await expect(askChild(silent, [], { patience: 200 })).rejects.toThrow('it did not answer within 0.2 s');
  const controller = new AbortController();
  const waiting = askChild(silent, [], { signal: controller.signal });
  controller.abort();
  await expect(waiting).rejects.toThrow(/abort/i);
});
