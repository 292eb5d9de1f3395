/** `lcm train PICTURES`: all stages, and on from where they stopped. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { createCanvas } from '@napi-rs/canvas';
import { expect, it } from 'vitest';
import { decodePng } from '../../src/index.ts';
import { workspace } from './lcm.ts';

const { at, read, run } = workspace();

it('goes from a folder of pictures to a distilled model, and does nothing twice', {
  timeout: 1_200_000,
}, async () => {
  mkdirSync(at('pictures'));
  for (let i = 0; i < 22; i++) {
    const canvas = createCanvas(32, 32);
    const context = canvas.getContext('2d');
    context.fillStyle = i % 2 === 0 ? 'red' : 'blue';
    context.fillRect(0, 0, 32, 32);
    writeFileSync(at(`pictures/${i}.png`), canvas.toBuffer('image/png'));
    writeFileSync(at(`pictures/${i}.txt`), i % 2 === 0 ? 'a red square' : 'a blue square');
  }
  const command = [
    'train',
    'pictures',
    '--out',
    'mine',
    '--resolution',
    '32',
    '--batch',
    '2',
    '--threads',
    '2',
  ];
  const timed = [...command, '--minutes', '0.1'];
  const first = await run(...timed);
  expect([first.code, first.stderr]).toEqual([
    0,
    expect.stringMatching(/^consistency \(3 of 4\): \d+ steps$/m),
  ]);
  expect(first.stdout).toMatch(/^distilled, 4 steps: .* per picture$/m);
  expect(first.stdout.trimEnd().split('\n').at(-1)).toBe('mine/consistency/model');
  const stages = JSON.parse(Buffer.from(read('mine/stages.json')).toString());
  for (const stage of ['autoencoder', 'diffusion', 'consistency'])
    expect(stages[stage]).toMatchObject({ steps: expect.any(Number), isDone: true });
  const sheet = await decodePng(read('mine/evaluation.png'));
  // Eight captions; 50 steps of the teacher, and 1, 2 and 4 of the student.
  expect([sheet.width, sheet.height]).toEqual([8 * 68 + 4, 4 * 68 + 4]);
  const again = await run(...timed);
  expect([again.code, again.stderr]).toEqual([0, expect.not.stringContaining('steps')]);
  expect(JSON.parse(Buffer.from(read('mine/stages.json')).toString())).toEqual(stages);
  expect((await run('train', 'pictures')).stderr).toMatch(/^lcm: --out is missing/);
  expect((await run('train')).code).toBe(2);
});
