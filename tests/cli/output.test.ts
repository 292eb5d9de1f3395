/** A standard output, or a standard error, that cannot be written. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { jsonLines, tinyModel, workspace } from './lcm.ts';

const { at, run, runWith } = workspace();
/** Every write to it fails as on a full disk. */
const FULL = '/dev/full';
/** Runs what follows with one stream on the full disk. */
const onto = (stream: 1 | 2) => ({ through: ['sh', '-c', `"$@" ${stream}> ${FULL}`, 'sh'] });
const cannot = (stream: string) =>
  `lcm: standard ${stream} cannot be written (ENOSPC: no space left on device, write)\n`;

const ifThere = it.skipIf(!existsSync(FULL));

ifThere.each([
  ['a picture, at the end', ['generate', 'a fox', '--model', tinyModel, '--out', 'fox.png']],
  ['a picture, at every step', ['generate', 'a fox', '--model', tinyModel, '--out', 'fox.png', '--json']],
  ['what is inside a model', ['info', tinyModel]],
  ['the help', ['--help']],
])('ends with one line where the output is told of %s', async (_, args) => {
  expect(await runWith(onto(1), ...args)).toEqual({ code: 1, stdout: '', stderr: cannot('output') });
});

ifThere('says on the standard output that the standard error cannot be written', async () => {
  const { code, stdout } = await runWith(
    onto(2),
    'train',
    'autoencoder',
    '--config',
    settings(),
    '--out',
    'quiet',
  );
  expect({ code, stdout }).toEqual({ code: 1, stdout: cannot('error') });
});

it('saves what was trained before it ends', async () => {
  const training = ['train', 'autoencoder', '--config', settings(), '--json', '--out', 'run'];
  const breaking = { through: ['env', `NODE_OPTIONS=--require ${breakingAfter('"step":3,')}`] };
  const { code, stderr } = await runWith(breaking, ...training);
  expect({ code, said: stderr.split('\n')[0] }).toEqual({
    code: 1,
    said: 'lcm: standard output cannot be written (EIO: i/o error, write)',
  });
  expect(readdirSync(at('run'))).toContainEqual(expect.stringMatching(/^checkpoint-0000000[34]$/));
  const { code: again, stdout } = await run(...training);
  expect(again).toBe(0);
  expect(jsonLines(stdout)).toContainEqual(expect.objectContaining({ type: 'start', resumed: true }));
  const steps = readFileSync(at('run/metrics.jsonl'), 'utf8').trimEnd().split('\n');
  expect(steps.map((line) => JSON.parse(line).step)).toEqual([1, 2, 3, 4, 5, 6]);
});

/** A module with which the standard output of whoever loads it first breaks as soon as it is given these words. */
function breakingAfter(words: string): string {
  const path = at('breaking.cjs');
  const code = `
    const { isMainThread } = require('node:worker_threads');
    const write = process.stdout._write;
    let broken = false;
    if (isMainThread) process.stdout._write = function (chunk, encoding, done) {
      broken ||= String(chunk).includes(${JSON.stringify(words)});
      if (broken) done(Object.assign(new Error('EIO: i/o error, write'), { code: 'EIO' }));
      else write.call(this, chunk, encoding, done);
    };`;
  writeFileSync(path, code);
  return path;
}

function settings(): string {
  const config = {
    steps: 6,
    batch: 2,
    model: { block_out_channels: [8, 8, 8], norm_num_groups: 4 },
    cadence: { logEvery: 1, sampleEvery: 0, checkpointEverySteps: 100 },
  };
  writeFileSync(at('settings.json'), JSON.stringify(config));
  return 'settings.json';
}
