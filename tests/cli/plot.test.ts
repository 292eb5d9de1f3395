/** `lcm plot` from end to end, on tiny models. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { hostTensor } from '../../src/graph/host-tensor.ts';
import { decodePng } from '../../src/images/png.ts';
import { readPngText } from '../../src/images/png-text.ts';
import { Generator } from '../../src/random/generator.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { jsonLines, tinyModel, tinyTeacher, workspace } from './lcm.ts';

const { at, read, run, runWith } = workspace({ forEachTest: true });

it('draws every combination as lcm generate draws it, and says in the file what it shows', async () => {
  const { code, stdout, stderr } = await run(
    ...['plot', 'a red fox', '--x', 'steps=1-2', '--y', 'prompt-sr=fox,"hen, asleep"', '--seed', '7'],
    ...['--model', tinyModel, '--save-images', 'single', '--out', 'grid.png', '--scale', '2', '--json'],
  );
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  const lines = jsonLines(stdout);
  expect(lines.map(({ type }) => type)).toEqual(['image', 'image', 'image', 'image', 'plot']);
  expect(lines[3]).toMatchObject({
    path: join('single', 'x2-y2.png'),
    column: 1,
    row: 1,
    grid: 0,
    seed: 7,
    steps: 2,
    values: { x: '2', y: 'hen, asleep' },
  });
  const sheet = await decodePng(read('grid.png'));
  expect(lines[4]).toMatchObject({ path: 'grid.png', width: sheet.width, height: sheet.height, images: 4 });
  expect(sheet.width).toBeGreaterThan(4 * 64);
  expect((await readPngText(read('grid.png'))).parameters).toMatch(
    /^a red fox\nSampler: LCM, CFG scale: 8\.5, Seed: 7, Size: 64x64, Model: model, Version: .*, X Type: steps, X Values: "1,2", Y Type: prompt-sr, Y Values: "fox,\\"hen, asleep\\""$/,
  );

  await run(
    ...['generate', 'a red hen, asleep', '--model', tinyModel],
    ...['--seed', '7', '--steps', '2', '--out', 'alone.png'],
  );
  const single = await decodePng(read('single/x2-y2.png'));
  expect(single).toEqual(await decodePng(read('alone.png')));
  // On the sheet every pixel stands for four; the row of this picture's first pixels is found as a whole.
  const row = (y: number) => {
    const pixels: number[] = [];
    for (let x = 0; x < 64; x++) {
      const pixel = single.data.subarray(3 * (64 * y + x), 3 * (64 * y + x) + 3);
      pixels.push(...pixel, ...pixel);
    }
    return Buffer.from(pixels);
  };
  const found = Buffer.from(sheet.data).indexOf(row(0));
  expect(found).toBeGreaterThan(0);
  const last = found + 127 * 3 * sheet.width;
  expect(Buffer.from(sheet.data).subarray(last, last + 3 * 128)).toEqual(row(63));
});

it('loads each model and each LoRA once, whatever axis they are on', async () => {
  const name = 'mid_block.attentions.0.transformer_blocks.0.attn1.to_q';
  const { weights } = await openSafetensors(join(tinyTeacher, 'unet/diffusion_pytorch_model.safetensors'));
  const [outputs, inputs] = weights.get(`${name}.weight`)!.shape as [number, number];
  const random = new Generator(1);
  const lora = new Map([
    [`unet.${name}.lora_A.weight`, hostTensor(random.normal(2 * inputs), [2, inputs])],
    [`unet.${name}.lora_B.weight`, hostTensor(random.normal(2 * outputs), [outputs, 2])],
  ]);
  await writeSafetensors(at('style.safetensors'), lora);
  const { code, stdout } = await run(
    ...['plot', 'a fox', '--x', `model=${tinyModel},${tinyTeacher}`, '--y', 'lora-weight=0,1'],
    ...['--z', 'lora=none,style.safetensors', '--steps', '2', '--save-images', 'single', '--json'],
  );
  expect(code).toBe(0);
  const images = jsonLines(stdout).filter(({ type }) => type === 'image');
  expect(images.map(({ column }) => column)).toEqual([0, 0, 0, 0, 1, 1, 1, 1]);
  expect(read('single/x2-y1-z1.png')).toEqual(read('single/x2-y2-z1.png'));
  const [without, weak, strong] = await Promise.all(
    ['x2-y1-z1', 'x2-y1-z2', 'x2-y2-z2'].map(
      async (file) => (await decodePng(read(`single/${file}.png`))).data,
    ),
  );
  expect(weak).toEqual(without);
  expect(strong).not.toEqual(without);
  expect(existsSync(at('plot.png'))).toBe(true);
});

it('draws the UNets of an axis, each as it would alone', async () => {
  const unet = join(tinyModel, 'unet');
  const plain = ['a fox', '--model', tinyTeacher, '--seed', '3', '--steps', '2'];
  const { code, stdout } = await run(
    ...[
      'plot',
      ...plain,
      '--x',
      `unet=none,${unet}`,
      '--save-images',
      'unets',
      '--json',
      '--out',
      'unets.png',
    ],
  );
  expect(code).toBe(0);
  expect(jsonLines(stdout).slice(0, 2)).toMatchObject([
    { scheduler: 'ddim', guidanceScale: 7.5 },
    { scheduler: 'lcm', guidanceScale: 8.5 },
  ]);
  expect((await run('generate', ...plain, '--unet', unet, '--out', 'alone.png')).code).toBe(0);
  expect(read('unets/x2.png')).toEqual(read('alone.png'));
});

it('takes the settings of a picture, and its axes in their place', async () => {
  await run(
    ...['generate', 'a red fox', '--model', tinyModel, '--seed', '3', '--steps', '5', '--out', 'x.png'],
  );
  const { code, stdout } = await run(
    ...['plot', '--from', 'x.png', '--x', 'steps=1', '--y', 'size=64x64,32x64', '--json'],
  );
  expect(code).toBe(0);
  expect(jsonLines(stdout).slice(0, 2)).toMatchObject([
    { seed: 3, steps: 1, width: 64, height: 64, guidanceScale: 8.5 },
    { seed: 3, steps: 1, width: 32, height: 64 },
  ]);
});

it('refuses what cannot be drawn before anything is', async () => {
  const cases: [args: string[], code: number, message: RegExp][] = [
    [['a fox'], 2, /there is no axis: say what should vary/],
    [['a fox', '--x', 'steps=1,60'], 2, /--x steps=60: the model was distilled on a grid of 50 timesteps/],
    [['a fox', '--x', 'size=64x64,65x64'], 2, /--x size=65x64: width 65: the model makes pictures whose/],
    [['a fox', '--x', 'clip-skip=0,9'], 2, /--x clip-skip=9: the text encoder has \d+ layers/],
    [['a fox', '--x', 'steps=1', '--width', '65'], 2, /--width 65: .*multiples of 8/],
    [
      ['a fox', '--x', 'steps=1', '--y', 'eta=1'],
      2,
      /^lcm: --y eta=1: only the schedulers ddim and tcd take it/,
    ],
    [
      ['a fox', '--x', 'steps=1', '--save-images', 'notes.txt/all'],
      1,
      /notes\.txt is a file, not a folder; choose another place with --save-images/,
    ],
    [['a fox', '--x', `model=${tinyModel},nowhere`], 1, /model nowhere: there is no such folder/],
  ];
  writeFileSync(at('notes.txt'), '');
  for (const [args, code, message] of cases) {
    const result = await run('plot', '--model', tinyModel, '--save-images', 'single', ...args);
    expect([result.code, result.stderr, result.stdout]).toEqual([code, expect.stringMatching(message), '']);
  }
  expect(readdirSync(at())).toEqual(['notes.txt']);
});

it('can be cancelled', async () => {
  const { code, stderr } = await runWith(
    { once: { said: /"type":"image"/, act: (child) => child.kill('SIGINT') } },
    ...['plot', 'a fox', '--model', tinyModel, '--x', 'seed=1-40', '--y', 'steps=1-10', '--json'],
  );
  expect({ code, stderr }).toEqual({ code: 130, stderr: 'lcm: cancelled\n' });
  expect(readdirSync(at())).toEqual([]);
});
