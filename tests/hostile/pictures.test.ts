/** Pictures that say they were made with something they cannot have been made with: `--from` and `lcm info`. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createImage } from '../../src/images/image.ts';
import { encodePng } from '../../src/images/png.ts';
import { SETTINGS_KEYWORD } from '../../src/pipelines/picture-text.ts';
import { workspace } from '../cli/lcm.ts';

const { at, run } = workspace();
const settings = {
  model: 'postcards',
  prompt: 'a fox',
  seed: 0,
  steps: 1,
  guidanceScale: 1,
  guidanceRescale: 0,
  scheduler: 'lcm',
  width: 64,
  height: 64,
  clipSkip: 0,
  version: '0.1.0',
  engine: 'onnxruntime/cpu',
};

async function picture(text: string): Promise<void> {
  writeFileSync(at('p.png'), await encodePng(createImage(8, 8, 3), { [SETTINGS_KEYWORD]: text }));
}

async function refused(...args: string[]): Promise<string> {
  const { code, stderr } = await run(...args);
  expect(code === 1 || code === 2).toBe(true);
  expect(stderr.length).toBeLessThan(520);
  expect(stderr).not.toMatch(/undefined|\[object|Cannot read|is not a function/);
  return stderr;
}
const again = () => refused('generate', '--from', 'p.png', '--out', 'q.png');

describe.skipIf(process.platform === 'win32')('a picture that names as its image', () => {
  it('a device is refused', async () => {
    await picture(JSON.stringify({ ...settings, image: '/dev/zero', strength: 0.5 }));
    expect(await again()).toMatch(/\/dev\/zero is a device; expected a file/);
  });

  it('a named pipe is refused, as a picture itself is that is one', async () => {
    execFileSync('mkfifo', [at('pipe')]);
    await picture(JSON.stringify({ ...settings, image: at('pipe'), strength: 0.5 }));
    expect(await again()).toMatch(/pipe is a named pipe; expected a file/);
    expect(await refused('generate', '--from', 'pipe', '--out', 'q.png')).toMatch(/pipe is a named pipe/);
  });
});

it.each([
  ['nothing', '', /text is not valid JSON: column 1: expected a value/],
  ['half of them', '{"prompt": "a', /is not valid JSON: column 14/],
  ['a list', '[1]', /must hold a JSON object, found a list/],
  ['no prompt', '{"seed": 1}', /has no prompt or no seed/],
  ['a prototype', JSON.stringify({ ...settings, scheduler: 'constructor' }), /scheduler "constructor"/],
  ['a long value', JSON.stringify({ ...settings, steps: 'x'.repeat(100_000) }), /steps "x+…/],
])('a picture whose settings are %s is refused by name', async (_, text, message) => {
  await picture(text);
  expect(await again()).toMatch(message);
  expect(await again()).toMatch(/--from.* p\.png/);
  expect(await refused('info', 'p.png')).toMatch(/^lcm: p\.png: /);
});
