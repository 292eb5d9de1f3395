/** Models whose files are of another kind than a model has, or are called as no file can be. Nothing waits for them. */
import { execFileSync } from 'node:child_process';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, describe, expect, it } from 'vitest';
import { loadComponents } from '../../src/components/components.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { InputError } from '../../src/errors.ts';
import { type LoadOptions, loadPipeline } from '../../src/pipelines/node/load.ts';
import { consistencyTraining } from '../../src/training/runs/distill.ts';
import { plan } from '../../src/training/runs/recipe.ts';
import { encodeSafetensors, parseSafetensors } from '../../src/weights/safetensors.ts';

const source = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

let model: string;
beforeEach(() => {
  model = mkdtempSync(join(folder, 'model-'));
  cpSync(source, model, { recursive: true });
});

const load = async () => loadComponents(await openModel(model));
const failure = (): Promise<Error> =>
  load().then(
    () => Promise.reject(new Error('it should have been refused')),
    (error: Error) => error,
  );

/** Texts and weights of the model, by their paths. */
const files = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .map((path) => path.replaceAll('\\', '/'))
  .filter((path) => /\.(json|txt|safetensors)$/.test(path));

describe.skipIf(process.platform === 'win32')('in place of a file', () => {
  it.each(files)('a named pipe is refused: %s', async (file) => {
    rmSync(join(model, file));
    execFileSync('mkfifo', [join(model, file)]);
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toBe(`${join(model, file)} is a named pipe; expected a file`);
  });

  it.each(files)('a device is refused: %s', async (file) => {
    rmSync(join(model, file));
    symlinkSync('/dev/zero', join(model, file));
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toBe(`${join(model, file)} is a device; expected a file`);
  });

  it.each(files)('a folder or a link in a circle is refused: %s', async (file) => {
    rmSync(join(model, file));
    mkdirSync(join(model, file));
    expect((await failure()).message).toBe(`${join(model, file)} is a folder; expected a file`);
    rmSync(join(model, file), { recursive: true });
    symlinkSync(file.split('/').at(-1)!, join(model, file));
    const error = await failure();
    expect(error).toBeInstanceOf(InputError);
    expect(error.message).toMatch(/^(cannot read|model) .*circle/);
  });

  it.each(files)('a link to a file is followed: %s', async (file) => {
    rmSync(join(model, file));
    symlinkSync(join(source, file), join(model, file));
    await expect(load()).resolves.toBeDefined();
  });
});

it('texts that are no UTF-8 are refused', async () => {
  writeFileSync(join(model, 'tokenizer', 'merges.txt'), Buffer.from('#version\ncaf\xe9 s\n', 'latin1'));
  const error = await failure();
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).toMatch(/merges\.txt is not a text in UTF-8/);
});

it('texts that are larger than any model has are refused before they are read', async () => {
  writeFileSync(join(model, 'unet', 'config.json'), `{"_class_name": "${'x'.repeat(2 ** 24)}"}`);
  const error = await failure();
  expect(error).toBeInstanceOf(InputError);
  expect(error.message).toMatch(/unet.config\.json is larger than the 16777216 bytes/);
});

it('a configuration as Python writes it is read by everything, also as a teacher', async () => {
  const path = join(model, 'scheduler', 'scheduler_config.json');
  const json = JSON.parse(readFileSync(path, 'utf8')) as object;
  const text = JSON.stringify({ ...json, lambda_min_clipped: 0 }).replace(
    '"lambda_min_clipped":0',
    '"lambda_min_clipped": -Infinity',
  );
  writeFileSync(path, `\ufeff${text}`);
  await expect(load()).resolves.toBeDefined();
  const config = await consistencyTraining.configure({ teacher: model, data: { kind: 'postcards' } });
  const { flopsPerStep } = await plan(consistencyTraining, config);
  expect(flopsPerStep).toBeGreaterThan(0);
});

describe('what does not fit together is said with the file that it is about', () => {
  const draw = async (path: string, options: LoadOptions = {}) => {
    const pipeline = await loadPipeline(path, options);
    try {
      await pipeline.generate({ prompt: 'a fox', steps: 1, seed: 0 });
    } finally {
      await pipeline.dispose();
    }
  };

  it('merges of tokens that the vocabulary lacks', async () => {
    cpSync(join(source, '..', '..', 'lcm', 'model'), model, { recursive: true });
    rmSync(join(model, 'tokenizer', 'tokenizer.json'), { force: true });
    const merges = join(model, 'tokenizer', 'merges.txt');
    const unknown = `${'x'.repeat(1000)} ${'y'.repeat(1000)}`;
    writeFileSync(merges, `${readFileSync(merges, 'utf8').trimEnd()}\n${unknown}\n`);
    const { message } = await failure();
    expect(message).toMatch(/^.*tokenizer: the tokenizer's merges use "x+…", which its vocabulary lacks$/);
    expect(message).toContain(model);
  });

  it('a scheduler that cannot be used, where another was not asked for', async () => {
    const config = join(model, 'scheduler', 'scheduler_config.json');
    writeFileSync(config, JSON.stringify({ num_train_timesteps: [0, -1] }));
    await expect(draw(model)).rejects.toThrow(`${model}: its scheduler, `);
  });

  it('a single file without a network whose configuration has no weights either', async () => {
    const file = join(model, 'single.safetensors');
    const pipelines = join(source, '..', '..');
    const original = readFileSync(join(pipelines, 'single_file', 'model_fp16.safetensors'));
    const { tensors } = parseSafetensors(original, file);
    const others = [...tensors].filter(([name]) => !name.startsWith('cond_stage_model'));
    writeFileSync(file, encodeSafetensors(new Map(others)));
    const drawn = draw(file, { config: join(pipelines, 'single_file', 'config') });
    await expect(drawn).rejects.toThrow(`${file} has no text_encoder`);
    await expect(drawn).rejects.toThrow(/holds no weights/);
  });
});
