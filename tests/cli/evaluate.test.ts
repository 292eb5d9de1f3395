/** `lcm evaluate` and `lcm explain` from end to end, on tiny models of random weights. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, it } from 'vitest';
import { JUDGE_CONFIG, judge } from '../../src/evaluation/judge.ts';
import { writeJudge } from '../../src/evaluation/node/judge-files.ts';
import { input } from '../../src/graph/tensor.ts';
import { decodePng } from '../../src/images/png.ts';
import { DeclaredParams } from '../../src/layers/params.ts';
import { Generator } from '../../src/random/generator.ts';
import { initialize } from '../../src/training/update/flat-parameters.ts';
import { jsonLines, tinyModel, tinyTeacher, workspace } from './lcm.ts';

const { at, read, run, runWith } = workspace();

beforeAll(async () => {
  const config = { ...JUDGE_CONFIG, block_out_channels: [8, 8, 8, 8], feature_dim: 8 };
  const declared = new DeclaredParams();
  judge(config, declared.params, input('pictures', [1, 3, 64, 64]));
  const weights = initialize(declared.declarations, new Generator(1));
  await writeJudge(at('judge'), config, new Map(Object.entries(weights.tensors())));
});

it('measures real pictures, reconstructions, teacher and model', async () => {
  const { code, stdout } = await run(
    ...['evaluate', '--model', tinyModel, '--teacher', tinyTeacher, '--judge', 'judge'],
    ...['--count', '4', '--steps', '1,2', '--out', 'table', '--threads', '1', '--json'],
  );
  expect(code).toBe(0);
  const names = ['real', 'reconstruction', 'teacher, DDIM, 50 steps', 'LCM, 1 step', 'LCM, 2 steps'];
  expect(jsonLines(stdout).map(({ type }) => type)).toEqual([...names.map(() => 'row'), 'evaluation']);

  expect(readdirSync(at('table')).sort()).toEqual([
    ...['evaluation.json', 'evaluation.md', 'lcm-1.png', 'lcm-2.png', 'real.png', 'reconstruction.png'],
    'teacher-ddim-50.png',
  ]);
  const written = JSON.parse(readFileSync(at('table/evaluation.json'), 'utf8'));
  expect(written.rows.map(({ name }: { name: string }) => name)).toEqual(names);
  expect(written).toMatchObject({ model: 'model', teacher: 'model', count: 4, references: 16 });
  for (const row of written.rows) expect(Number.isFinite(row.frechetDistance)).toBe(true);
  const sheet = await decodePng(read('table/lcm-1.png'));
  expect([sheet.width, sheet.height]).toEqual([4 * 128, 128]);
});

it('takes a UNet from elsewhere, which makes the teacher the student, and says so', async () => {
  const unet = join(tinyModel, 'unet');
  const figure = ['explain', 'consistency', '--model', tinyTeacher, '--columns', '3', '--threads', '1'];
  const own = await run(...figure, '--out', 'own.png');
  expect(own).toMatchObject({ code: 1, stdout: '' });
  expect(own.stderr).toMatch(/is no consistency model/);
  const other = await run(...figure, '--unet', unet, '--vae', tinyModel, '--out', 'other.png');
  expect(other.code).toBe(0);
  expect(other.stdout).toMatch(/^Self-consistency error, .*\n.*\nother\.png\n$/);
  const { code, stdout } = await run(
    ...[
      'evaluate',
      '--model',
      tinyTeacher,
      '--unet',
      unet,
      '--judge',
      'judge',
      '--count',
      '2',
      '--steps',
      '1',
    ],
    ...['--threads', '1', '--json'],
  );
  expect(code).toBe(0);
  const records = jsonLines(stdout);
  expect(records.at(-1)).toMatchObject({ type: 'evaluation', model: 'model', unet: 'unet' });
  expect(records.map(({ name }) => name)).toContain('LCM, 1 step');
});

it('stops at Ctrl-C with exit code 130', async () => {
  const { code, stdout, stderr } = await runWith(
    { once: { said: /"type":"row"/, act: (child) => child.kill('SIGINT') } },
    ...['evaluate', '--model', tinyModel, '--judge', 'judge', '--out', 'stopped'],
    ...['--count', '64', '--steps', '50', '--json'],
  );
  expect({ code, stderr }).toEqual({ code: 130, stderr: 'lcm: cancelled\n' });
  expect(stdout).not.toContain('"type":"evaluation"');
  expect(readdirSync(at('stopped'))).not.toContain('evaluation.json');
});

it('says what is missing', async () => {
  const noJudge = await run('evaluate', '--model', tinyModel, '--judge', 'nowhere');
  expect(noJudge).toMatchObject({ code: 1, stdout: '' });
  expect(noJudge.stderr).toMatch(/^lcm: nowhere holds no judge: .* as lcm train judge writes them\n$/);
  const odd = await run('evaluate', '--model', tinyModel, '--judge', 'judge', '--count', '5');
  expect(odd).toMatchObject({ code: 2, stdout: '' });
  expect(odd.stderr).toMatch(/^lcm: --count 5: expected an even number/);
  const steps = await run(
    ...['evaluate', '--model', tinyModel, '--judge', 'judge', '--count', '2', '--steps', '60'],
  );
  expect(steps).toMatchObject({ code: 2, stdout: '' });
  expect(steps.stderr).toMatch(
    /^lcm: --steps 60: the model was distilled on a grid of 50 timesteps; use 1 to 50/,
  );
});

it('draws the figure of consistency, before and after distillation', async () => {
  const { code, stdout } = await run(
    ...['explain', 'consistency', '--model', tinyModel, '--teacher', tinyTeacher],
    ...['--columns', '3', '--threads', '1'],
  );
  expect(code).toBe(0);
  expect(stdout).toMatch(
    /^Self-consistency error, .* \d\.\d{4} before, \d\.\d{4} after distillation, .*\nRMS .*\nconsistency\.png\n$/,
  );
  const figure = await decodePng(read('consistency.png'));
  expect(figure.width).toBeGreaterThan(3 * 192);
  expect(figure.height).toBeGreaterThan(3 * 192);
});

it('draws it for a prompt without a teacher', async () => {
  const { code, stdout } = await run(
    ...['explain', 'consistency', '--model', tinyModel, '--prompt', 'a tent', '--out', 'f.png'],
    ...['--threads', '1', '--json'],
  );
  expect(code).toBe(0);
  const said = JSON.parse(stdout);
  expect(said).toMatchObject({
    type: 'consistency',
    path: 'f.png',
    view: 'noised',
    prompt: 'a tent',
    levels: 50,
  });
  expect(said.errors.before).toBeUndefined();
  expect(said.errors.after.adjacent).toBeGreaterThan(0);
});
