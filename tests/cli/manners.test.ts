/** What hands type that know other tools. */
import { expect, it } from 'vitest';
import { decodePng } from '../../src/images/png.ts';
import { readPngText } from '../../src/images/png-text.ts';
import { readPictureSettings } from '../../src/pipelines/picture-text.ts';
import { jsonLines, tinyModel, tinyTeacher, workspace } from './lcm.ts';

const { read, run } = workspace({ forEachTest: true });

it('takes help and version as words', async () => {
  const [help, generate, version] = await Promise.all([run('help'), run('help', 'generate'), run('version')]);
  expect(help).toEqual(await run('--help'));
  expect(generate).toEqual(await run('generate', '--help'));
  expect(version).toEqual(await run('--version'));
  expect([help, generate, version].map(({ code }) => code)).toEqual([0, 0, 0]);
  for (const words of [
    ['help', 'nosuch'],
    ['nosuch', '--help'],
    ['help', 'train', 'nosuch'],
  ]) {
    const { code, stderr } = await run(...words);
    expect(stderr).toContain("unknown command 'nosuch'");
    expect(stderr).not.toMatch(/nosuch --help|generate "help"/);
    expect(code).toBe(2);
  }
  // Paths of this machine are no defaults to show.
  for (const command of [['generate'], ['evaluate'], ['explain', 'consistency'], ['plot']]) {
    expect((await run('help', ...command)).stdout).not.toMatch(/ \//);
  }
});

it('takes the letters of stable-diffusion.cpp and the words of Automatic1111', async () => {
  const long = await run(
    ...['generate', 'a red fox', '--model', tinyTeacher, '--steps', '2', '--guidance-scale', '3'],
    ...['--negative-prompt', 'blurry', '--seed', '7', '--width', '64', '--height', '72', '--out', 'long.png'],
  );
  expect(long.code).toBe(0);
  for (const scale of ['--cfg', '--cfg-scale']) {
    const short = await run(
      ...['generate', '-p', 'a red fox', '-m', tinyTeacher, '--steps', '2', scale, '3'],
      ...['-n', 'blurry', '-s', '7', '-W', '64', '-H', '72', '-o', 'short.png'],
    );
    expect(short.code).toBe(0);
    expect(read('short.png')).toEqual(read('long.png'));
    // What is given overrides the picture, whatever it is called.
    await run('generate', '--from', 'long.png', scale, '5', '-o', 'other.png');
    expect(readPictureSettings(await readPngText(read('other.png')))).toMatchObject({ guidanceScale: 5 });
  }
});

it('draws a seed for -1, and the picture says which', async () => {
  const { stdout } = await run(
    ...['generate', 'a fox', '-m', tinyModel, '--steps', '1', '--seed', '-1', '-o', 'x.png', '--json'],
  );
  const { seed } = jsonLines(stdout).find(({ type }) => type === 'image')!;
  expect(seed).toBeGreaterThanOrEqual(0);
  expect(readPictureSettings(await readPngText(read('x.png')))!.seed).toBe(seed);
  await run('generate', '--from', 'x.png', '-o', 'again.png');
  expect(read('again.png')).toEqual(read('x.png'));
});

it('says the size of the file, whose pixels may be enlarged', async () => {
  const args = ['generate', 'a fox', '-m', tinyModel, '--steps', '1', '--scale', '3', '-o', 'x.png'];
  expect((await run(...args)).stdout).toMatch(/^x\.png {2}\(192×192, seed \d+\)$/m);
  expect((await decodePng(read('x.png'))).width).toBe(192);
  const lines = jsonLines((await run(...args, '--json')).stdout);
  expect(lines).toContainEqual(expect.objectContaining({ type: 'image', width: 192, height: 192 }));
});

it('hints at the size that a model was made for', async () => {
  const draw = (width: string) =>
    run('generate', 'a fox', '-m', tinyModel, '--steps', '1', '-W', width, '-o', 'x.png');
  expect((await draw('256')).stderr).toMatch(
    /^lcm: warning: the model was made for pictures of 64×64; at 256×64 it may repeat what it draws\n$/,
  );
  expect((await draw('128')).stderr).toBe('');
});

it('draws the empty prompt where an axis asks for it', async () => {
  const args = ['plot', '-m', tinyModel, '--x', 'prompt=', '-s', '7', '--save-images', 'single', '--json'];
  expect((await run(...args)).code).toBe(0);
  expect(readPictureSettings(await readPngText(read('single/x1.png')))!.prompt).toBe('');
  expect(await run('plot', '-m', tinyModel, '--x', 'prompt=a fox,""', '-s', '7')).toMatchObject({ code: 0 });
});
