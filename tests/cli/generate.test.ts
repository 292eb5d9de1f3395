/** `lcm generate` from end to end, on a tiny model. */
import { cpSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { createImage } from '../../src/images/image.ts';
import { decodePng, encodePng } from '../../src/images/png.ts';
import { readPngText } from '../../src/images/png-text.ts';
import { readPictureSettings } from '../../src/pipelines/picture-text.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { jsonLines, taesd, tinyModel, tinyTeacher, workspace } from './lcm.ts';
import { checkpoints } from './stand-ins.ts';

const { at, read, run, runWith } = workspace({ forEachTest: true });
/** A red fox by the tiny model, unless `args` say otherwise: options that are given again replace those before. */
const draw = (...args: string[]) =>
  run('generate', 'a red fox', '--model', tinyModel, '--seed', '7', ...args);

it('writes a picture with its settings, and says where it is and how long each stage took', async () => {
  const { code, stdout, stderr } = await draw();
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(readdirSync(at())).toEqual(['a-red-fox-7.png']);
  expect(stdout).toMatch(
    /^a-red-fox-7\.png {2}\(64×64, seed 7\)\nload .* s, text .* s, denoise .* s, decode .* s, save .* s; .* since the start\n$/,
  );

  const image = await decodePng(read('a-red-fox-7.png'));
  expect([image.width, image.height]).toEqual([64, 64]);
  const text = await readPngText(read('a-red-fox-7.png'));
  expect(text.parameters).toMatch(
    /^a red fox\nSteps: 4, Sampler: LCM, CFG scale: 8\.5, Seed: 7, Size: 64x64, Model: model, Version: latent-consistency /,
  );
  expect(readPictureSettings(text)).toMatchObject({
    prompt: 'a red fox',
    seed: 7,
    steps: 4,
    guidanceScale: 8.5,
  });
});

it('gives the same picture for the same seed, alone or in a batch', async () => {
  await draw('--seed', '8', '--out', 'alone.png');
  const { code } = await draw('--num-images', '3', '--batch-size', '2', '--out', 'many.png');
  expect(code).toBe(0);
  expect(readdirSync(at()).sort()).toEqual(['alone.png', 'many-1.png', 'many-2.png', 'many-3.png']);
  const [alone, second, third] = await Promise.all(
    ['alone.png', 'many-2.png', 'many-3.png'].map(async (name) => (await decodePng(read(name))).data),
  );
  const difference = Math.max(...alone!.map((value, i) => Math.abs(value - second![i]!)));
  expect(difference).toBeLessThanOrEqual(1);
  expect(third).not.toEqual(alone);
});

it('reports as JSON lines', async () => {
  const { stdout, stderr } = await draw('--steps', '2', '--json', '--out', 'x.png');
  expect(stderr).toBe('');
  const lines = jsonLines(stdout);
  expect(lines.map(({ type }) => type)).toEqual(['step', 'step', 'image', 'done']);
  expect(lines[1]).toMatchObject({ step: 2, steps: 2, timestep: 499 });
  expect(lines[2]).toMatchObject({ path: 'x.png', seed: 7, width: 64, height: 64, steps: 2 });
});

it('guides a model without a guidance embedding by a negative prompt', async () => {
  const args = ['--model', tinyTeacher, '--steps', '3'];
  await draw(...args, '--out', 'plain.png');
  const { code, stderr } = await draw(...args, '--negative-prompt', 'blurry', '--out', 'guided.png');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(read('guided.png')).not.toEqual(read('plain.png'));
  expect((await readPngText(read('guided.png'))).parameters).toContain(
    '\nNegative prompt: blurry\nSteps: 3, Sampler: DDIM, ',
  );
});

it('warns of a negative prompt that has no effect, and of a prompt that is cut', async () => {
  const prompt = `the end of the sea ${'very '.repeat(80)}far`;
  const { code, stderr } = await run(
    ...['generate', prompt, '--model', tinyModel, '--negative-prompt', 'blurry', '--out', 'x.png'],
  );
  expect(code).toBe(0);
  expect(stderr).toMatch(/lcm: warning: the negative prompt has no effect/);
  expect(stderr).toMatch(
    /lcm: warning: the prompt is longer than the 75 tokens .* left out is: "(very )+far"/,
  );
});

it('warns once where what the UNet predicts is a guess, and not where it is said', async () => {
  await checkpoints.sd2(at('sd2.safetensors'));
  const drawn = (...args: string[]) =>
    draw(
      ...['--model', 'sd2.safetensors', '--tokenizer', join(tinyModel, 'tokenizer'), '--num-images', '2'],
      ...['--steps', '1', '--width', '64', '--height', '64', '--out', 'x.png', ...args],
    );
  const guessed = await drawn();
  expect(guessed.code).toBe(0);
  expect(guessed.stderr).toMatch(
    /^lcm: warning: sd2\.safetensors does not say what its UNet predicts: taken is v_prediction, .*--prediction-type epsilon.*\n$/,
  );
  const said = await drawn('--prediction-type', 'v_prediction');
  expect({ code: said.code, stderr: said.stderr }).toEqual({ code: 0, stderr: '' });
});

it('enlarges whole pixels, and saves a preview of each step', async () => {
  const { code } = await draw('--steps', '2', '--scale', '3', '--preview', '--out', 'pictures');
  expect(code).toBe(0);
  expect(readdirSync(at('pictures')).sort()).toEqual([
    'a-red-fox-7.png',
    'a-red-fox-7.step-1.png',
    'a-red-fox-7.step-2.png',
  ]);
  const image = await decodePng(read('pictures/a-red-fox-7.png'));
  expect([image.width, image.height]).toEqual([192, 192]);
  const preview = await decodePng(read('pictures/a-red-fox-7.step-2.png'));
  expect([preview.width, preview.height]).toEqual([192, 192]);
});

it('stops at Ctrl-C with exit code 130 and no half-written file', async () => {
  const { code, stderr } = await runWith(
    { once: { said: /("type":"image"[\s\S]*){3}/, act: (child) => child.kill('SIGINT') } },
    ...['generate', 'a red fox', '--model', tinyModel, '--num-images', '5000', '--json', '--out', 'many'],
  );
  expect({ code, stderr }).toEqual({ code: 130, stderr: 'lcm: cancelled\n' });
  const files = readdirSync(at('many'));
  expect(files.length).toBeGreaterThanOrEqual(3);
  expect(files.length).toBeLessThan(5000);
  for (const file of files) expect((await decodePng(read(join('many', file)))).width).toBe(64);
});

it('stops at Ctrl-C in the middle of decoding', async () => {
  const { code, stderr } = await runWith(
    // Decoding follows the only step.
    { once: { said: /"type":"step"/, act: (child) => setTimeout(() => child.kill('SIGINT'), 100) } },
    ...['generate', 'a red fox', '--model', tinyModel, '--steps', '1', '--json', '--out', 'large.png'],
    ...['--width', '1024', '--height', '1024'],
  );
  expect({ code, stderr, files: readdirSync(at()) }).toEqual({
    code: 130,
    stderr: 'lcm: cancelled\n',
    files: [],
  });
});

it('draws the same with low memory, in nearly the same way in tiles, and says what it took', async () => {
  const common = ['a red fox', '--model', tinyModel, '--seed', '7', '--steps', '1', '--width', '128'];
  await run('generate', ...common, '--out', 'usual.png');
  const low = await run('generate', ...common, '--low-memory', '--out', 'low.png');
  expect({ code: low.code, stderr: low.stderr }).toEqual({ code: 0, stderr: '' });
  expect(low.stdout).toMatch(/\n\d+ MB of memory at most\n$/);
  expect(read('low.png')).toEqual(read('usual.png'));

  const tiled = await run(
    ...['generate', ...common, '--tile-size', '64', '--preview-vae', taesd, '--json', '--out', 'tiled.png'],
  );
  expect({ code: tiled.code, stderr: tiled.stderr }).toEqual({ code: 0, stderr: '' });
  expect(tiled.stdout).toMatch(/"type":"preview","path":"tiled\.step-1\.png"/);
  expect(tiled.stdout).toMatch(/"type":"done",.*"peakMemory":\d{8,}/);
  expect(read('tiled.png')).not.toEqual(read('usual.png'));
  expect(readPictureSettings(await readPngText(read('tiled.png')))).toMatchObject({ tileSize: 64 });
});

it('refuses what no memory holds, before anything is drawn', async () => {
  const { code, stderr } = await run(
    ...['generate', 'a red fox', '--model', tinyModel, '--width', '16384', '--height', '16384'],
    ...['--num-images', '10000', '--batch-size', '10000'],
  );
  expect(code).toBe(2);
  expect(stderr).toMatch(
    /^lcm: 16384×16384 pixels, 10000 at a time: the UNet needs at least .* of memory, there are .*; use a smaller --width and --height, or a smaller --batch-size \(now 10000\)\n$/,
  );
  const beyond = await run('generate', 'a red fox', '--model', tinyModel, '--width', '65536');
  expect(`${beyond.code} ${beyond.stderr}`).toMatch(/^2 lcm: --width 65536: .* from 1 to 16384/);
});

it('ends quietly when nobody reads its output any more', async () => {
  const { code, stderr } = await runWith(
    { once: { said: /./, act: (child) => child.stdout?.destroy() } },
    ...['generate', 'a red fox', '--model', tinyModel, '--num-images', '5000', '--json', '--out', 'many'],
  );
  expect({ code, stderr }).toEqual({ code: 141, stderr: '' });
});

it('goes on from a picture, and draws anew what a mask leaves white', async () => {
  const from = ['--steps', '2', '--image', 'first.png'];
  await draw('--steps', '2', '--out', 'first.png');
  const changed = await draw(...from, '--strength', '0.5', '--out', 'changed.png');
  expect({ code: changed.code, stderr: changed.stderr }).toEqual({ code: 0, stderr: '' });
  expect(changed.stdout).toMatch(/, encode .* s, denoise /);
  const text = await readPngText(read('changed.png'));
  expect(readPictureSettings(text)).toMatchObject({
    strength: 0.5,
    image: 'first.png',
    width: 64,
    height: 64,
  });
  expect(text.parameters).toContain('Denoising strength: 0.5');

  // All black: everything is kept, so only the autoencoder stands between the two pictures.
  writeFileSync(at('black.png'), await encodePng(createImage(64, 64, 3)));
  const white = createImage(64, 64, 3);
  white.data.fill(255);
  writeFileSync(at('white.png'), await encodePng(white));
  for (const mask of ['black', 'white']) {
    const { code, stderr } = await draw(...from, '--mask', `${mask}.png`, '--out', `of-${mask}.png`);
    expect({ code, stderr }).toEqual({
      code: 0,
      stderr: expect.stringMatching(
        `^lcm: warning: the mask is ${mask} everywhere[^\\n]* ${mask === 'white' ? 'kept' : 'anew'}\n$`,
      ),
    });
  }
  const [kept, anew] = await Promise.all(
    ['of-black.png', 'of-white.png'].map((name) => decodePng(read(name))),
  );
  expect(kept!.data).not.toEqual(anew!.data);
  const other = await run(
    ...['generate', 'the sea', '--model', tinyModel, '--seed', '7', '--steps', '4'],
    ...['--image', 'first.png', '--mask', 'black.png', '--out', 'other.png'],
  );
  expect(other.code).toBe(0);
  expect((await decodePng(read('other.png'))).data).toEqual(kept!.data);
});

it('reads a mask by its brightness or by its alpha, and says by which', async () => {
  await draw('--steps', '1', '--out', 'base.png');
  const write = async (name: string, colour: (right: boolean) => number[]) => {
    const mask = createImage(64, 64, 4);
    for (let i = 0; i < 64 * 64; i++) mask.data.set(colour(i % 64 >= 32), 4 * i);
    writeFileSync(at(name), await encodePng(mask));
  };
  await write('opaque.png', (right) => (right ? [255, 255, 255, 255] : [0, 0, 0, 255]));
  await write('strokes.png', (right) => (right ? [200, 90, 20, 255] : [0, 0, 0, 0]));
  // A hole as large as this leaves less than half of the border, so that only its colours tell.
  const photo = createImage(64, 64, 4);
  for (let i = 0; i < 64 * 64; i++)
    photo.data.set([i % 256, (7 * i) % 256, 90, i % 64 >= 32 ? 0 : 255], 4 * i);
  writeFileSync(at('photo.png'), await encodePng(photo));
  const drawn = async (mask: string) => {
    const out = `by-${mask}`;
    const result = await draw('--steps', '1', '--image', 'base.png', '--mask', mask, '--out', out);
    expect(result.code).toBe(0);
    return { said: result.stderr, pixels: (await decodePng(read(out))).data };
  };
  const expected = await drawn('opaque.png');
  expect(expected.said).toBe('');
  const strokes = await drawn('strokes.png');
  expect(strokes.said).toBe(
    '--mask strokes.png: it has strokes on transparency: what is painted in it is drawn anew, whatever its colour\n',
  );
  expect(strokes.pixels).toEqual(expected.pixels);
  const hole = await drawn('photo.png');
  expect(hole.said).toBe(
    '--mask photo.png: it is a picture with a hole: what is transparent in it is drawn anew\n',
  );
  expect(hole.pixels).toEqual(expected.pixels);
});

it('draws with weights of 8 bits, says so in the picture, and draws it so again', async () => {
  const common = ['a red fox', '--model', tinyModel, '--seed', '7', '--steps', '1'];
  await run('generate', ...common, '--out', 'usual.png');
  const drawn = await run('generate', ...common, '--quantize', 'int8-dynamic', '--out', 'bytes.png');
  expect({ code: drawn.code, stderr: drawn.stderr }).toEqual({ code: 0, stderr: '' });
  expect(readPictureSettings(await readPngText(read('bytes.png')))).toMatchObject({
    quantize: 'int8-dynamic',
  });
  expect((await decodePng(read('bytes.png'))).data).not.toEqual((await decodePng(read('usual.png'))).data);

  const again = await run('generate', '--from', 'bytes.png', '--out', 'again.png');
  expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: '' });
  expect(read('again.png')).toEqual(read('bytes.png'));
  const refused = await run('generate', ...common, '--quantize', 'int4');
  expect(refused.code).toBe(2);
  expect(refused.stderr).toMatch(/--quantize.*int4.*int8, int8-dynamic/s);
});

it('makes a picture again from its settings, or with some of them changed', async () => {
  await draw('--steps', '3', '--out', 'start.png');
  const made = await run(
    ...['generate', 'the sea', '--model', tinyTeacher, '--seed', '9', '--steps', '5', '--scheduler', 'ddim'],
    ...['--eta', '0.5', '--guidance-scale', '3', '--negative-prompt', 'blurry'],
    ...['--image', 'start.png', '--strength', '0.6', '--out', 'made.png'],
  );
  expect(made.code).toBe(0);
  const again = await run('generate', '--from', 'made.png', '--out', 'again.png');
  expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: '' });
  expect(read('again.png')).toEqual(read('made.png'));

  const others = ['--seed', '8', '--scheduler', 'euler'];
  const changed = await run('generate', 'the moon', '--from', 'made.png', ...others, '--out', 'new.png');
  expect({ code: changed.code, stderr: changed.stderr }).toEqual({ code: 0, stderr: '' });
  const settings = readPictureSettings(await readPngText(read('new.png')));
  expect(settings).toMatchObject({
    prompt: 'the moon',
    seed: 8,
    scheduler: 'euler',
    steps: 5,
    strength: 0.6,
    negativePrompt: 'blurry',
    image: 'start.png',
  });
  expect(settings).not.toHaveProperty('eta');
});

it('takes a UNet from elsewhere, names it in the picture, and takes it again from there', async () => {
  cpSync(join(tinyModel, 'unet'), at('lcm-unet'), { recursive: true });
  const made = await run(
    ...[
      'generate',
      'a red fox',
      '--model',
      tinyTeacher,
      '--unet',
      'lcm-unet',
      '--seed',
      '7',
      '--out',
      'lcm.png',
    ],
  );
  expect(made.code).toBe(0);
  expect(made.stderr).toBe('with this UNet the scheduler is LCMScheduler\n');
  const settings = async (name: string) => readPictureSettings(await readPngText(read(name)));
  expect(await settings('lcm.png')).toMatchObject({
    model: tinyTeacher,
    unet: { path: 'lcm-unet', fingerprint: expect.stringMatching(/^[0-9a-f]{16}$/) },
    scheduler: 'lcm',
    steps: 4,
    guidanceScale: 8.5,
  });
  expect((await readPngText(read('lcm.png'))).parameters).toMatch(/, Model: model, UNet: lcm-unet, Version/);
  const again = await run('generate', '--from', 'lcm.png', '--out', 'again.png');
  expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 0, stderr: '' });
  expect(read('again.png')).toEqual(read('lcm.png'));

  // Another model comes with its own.
  const other = await run('generate', '--from', 'lcm.png', '--model', tinyModel, '--out', 'other.png');
  expect(other.code).toBe(0);
  expect(await settings('other.png')).not.toHaveProperty('unet');

  const weights = at('lcm-unet/diffusion_pytorch_model.safetensors');
  const tensors = await loadTensors((await openSafetensors(weights)).weights);
  for (const tensor of tensors.values()) (tensor.data as Float32Array)[0]! += 0.5;
  await writeSafetensors(weights, tensors);
  const changed = await run('generate', '--from', 'lcm.png', '--out', 'changed.png');
  expect(changed.stderr).toMatch(
    /warning: --from lcm\.png: the UNet lcm-unet is not the one that the picture was/,
  );
  rmSync(at('lcm-unet'), { recursive: true });
  const missing = await run('generate', '--from', 'lcm.png', '--out', 'none.png');
  expect(missing.stderr).toMatch(
    /drawn with the UNet lcm-unet, which is not there; say where it is with --unet\n$/,
  );
});

it('takes the settings of Automatic1111 and ComfyUI as far as they mean something here', async () => {
  const fixtures = fileURLToPath(new URL('../fixtures/pictures/', import.meta.url));
  const from = (name: string, ...args: string[]) =>
    run('generate', '--from', join(fixtures, name), '--steps', '2', '--out', 'taken.png', ...args);

  const jpeg = await from('settings/automatic1111.jpg', '--model', tinyTeacher);
  expect(jpeg.stderr).toMatch(
    /^lcm: warning: --from .*automatic1111\.jpg: of Automatic1111's settings is left out: the LoRA pixel-art at 0\.8 \(--lora\), the VAE vae-ft-mse-840000-ema-pruned\.safetensors \(--vae\), weights in the prompt, ADetailer model face_yolov8n\.pt\n$/,
  );
  expect(jpeg.code).toBe(0);
  expect(readPictureSettings(await readPngText(read('taken.png')))).toMatchObject({
    prompt: 'a red fox in the snow, 雪, \nby the sea',
    negativePrompt: 'blurry, text',
    steps: 2,
    guidanceScale: 6.5,
    seed: 1234567890,
    width: 64,
    height: 72,
    clipSkip: 1,
    scheduler: 'dpm++-karras',
    model: tinyTeacher,
  });

  const graph = await from('settings/comfyui.png', '--model', tinyModel, '--seed', '9');
  expect(graph.code).toBe(0);
  expect(readPictureSettings(await readPngText(read('taken.png')))).toMatchObject({
    prompt: 'a red fox (animal), 雪',
    seed: 9,
    guidanceScale: 1.5,
    scheduler: 'lcm',
    height: 72,
  });

  const unnamed = await from('settings/automatic1111.webp');
  expect(unnamed.stderr).toMatch(
    /^lcm: --from .*\.webp: Automatic1111 drew it with the model "v1-5-pruned-emaonly"; say where that is with --model\n$/,
  );
  const none = await from('420.jpg');
  expect(none.stderr).toMatch(
    /^lcm: --from .*420\.jpg: the picture carries no settings of lcm generate, Automatic1111, Forge or ComfyUI\n$/,
  );
  const cut = await from('expected.json');
  expect(cut.stderr).toMatch(/^lcm: --from: .*expected\.json: it is no picture; save it as PNG/);
  expect([unnamed.code, none.code, cut.code]).toEqual([1, 1, 1]);
});

it('refuses pictures and masks that do not go together, before anything is drawn', async () => {
  writeFileSync(at('wide.png'), await encodePng(createImage(96, 64, 3)));
  writeFileSync(at('square.png'), await encodePng(createImage(64, 64, 3)));
  writeFileSync(at('words.png'), 'words');
  const refused = async (...args: string[]) => {
    const { code, stderr } = await draw(...args);
    return `${code} ${stderr}`;
  };
  expect(await refused('--image', 'wide.png', '--mask', 'square.png')).toMatch(
    /^2 .*the mask is 64×64, the image 96×64; make the mask as large/,
  );
  expect(await refused('--image', 'wide.png', '--strength', '0')).toMatch(/^2 .*--strength 0: .* above 0/);
  expect(await refused('--strength', '0.5')).toMatch(/^2 .*--strength 0\.5: there is no image/);
  expect(await refused('--mask', 'square.png')).toMatch(/^2 .*a --mask needs an --image/);
  expect(await refused('--image', 'words.png')).toMatch(
    /^1 .*words\.png cannot be read: it is no picture; save it as PNG, JPEG/,
  );
  expect(await refused('--image', 'none.png')).toMatch(/^1 .*none\.png: there is no such file/);
  expect(await refused('--from', 'square.png')).toMatch(/^1 .*carries no settings/);
});

it('restores what has an option of its own and what had none, tiles included', async () => {
  const settings = [
    ...['--clip-skip', '1', '--timesteps', '999,499', '--original-steps', '25', '--tile-size', '64'],
    ...['--width', '128'],
  ];
  const { code, stderr } = await draw(...settings, '--out', 'a.png');
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  expect(readPictureSettings(await readPngText(read('a.png')))).toMatchObject({
    clipSkip: 1,
    timesteps: [999, 499],
    originalSteps: 25,
    tileSize: 64,
    width: 128,
  });
  await run('generate', '--from', 'a.png', '--out', 'b.png');
  expect(read('b.png')).toEqual(read('a.png'));
  await run('generate', '--from', 'a.png', '--clip-skip', '0', '--out', 'c.png');
  expect(readPictureSettings(await readPngText(read('c.png')))).toMatchObject({ clipSkip: 0, tileSize: 64 });
});

it('tells SDXL of sizes and crops, and restores them', async () => {
  const sdxl = tinyTeacher.replace(/sd(?=[\\/]model$)/, 'sdxl');
  const { code } = await run(
    ...['generate', 'a red fox', '--model', sdxl, '--seed', '7', '--steps', '1', '--guidance-rescale', '0.7'],
    ...['--original-size', '512,384', '--crop-top-left', '0,64', '--target-size', '64,64', '--out', 'a.png'],
  );
  expect(code).toBe(0);
  expect(readPictureSettings(await readPngText(read('a.png')))).toMatchObject({
    timeIds: [512, 384, 0, 64, 64, 64],
    guidanceRescale: 0.7,
  });
  await run('generate', '--from', 'a.png', '--out', 'b.png');
  expect(read('b.png')).toEqual(read('a.png'));
});
