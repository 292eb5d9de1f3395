import { cpSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InputError } from '../../errors.ts';
import { convertDiffusersDirectory } from './convert-diffusers.ts';
import { openComponent, openDiffusersDirectory } from './diffusers-directory.ts';
import { loadTensors } from './safetensors-file.ts';

const source = fileURLToPath(new URL('../../../tests/fixtures/golden/pipelines/lcm/model', import.meta.url));

describe('converting a diffusers directory', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lcm-convert-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const tensorsOf = async (path: string, part: string) =>
    loadTensors((await openComponent(await openDiffusersDirectory(path), part)).weights);

  it('halves the weights, rounded to the nearest value, and keeps the rest', async () => {
    const out = join(folder, 'half');
    await convertDiffusersDirectory(source, out, { dtype: 'float16' });
    const before = await tensorsOf(source, 'unet');
    const after = await tensorsOf(out, 'unet');
    expect([...after.keys()].sort()).toEqual([...before.keys()].sort());
    for (const tensor of after.values()) expect(tensor.dtype).toBe('float16');
    const vocabulary = (path: string) => readFile(join(path, 'tokenizer/vocab.json'), 'utf8');
    expect(await vocabulary(out)).toBe(await vocabulary(source));
  });

  it('gives the same weights back from float32', async () => {
    const out = join(folder, 'same');
    await convertDiffusersDirectory(source, out, { dtype: 'float32' });
    expect(await tensorsOf(out, 'vae')).toEqual(await tensorsOf(source, 'vae'));
  });

  /** A copy of the model in `<folder>/pkg/model`, with further entries in its index. */
  function stranger(entries: Readonly<Record<string, readonly [string, string]>> = {}): string {
    const model = join(folder, 'pkg', 'model');
    cpSync(source, model, { recursive: true });
    const index = join(model, 'model_index.json');
    const json = JSON.parse(readFileSync(index, 'utf8'));
    writeFileSync(index, JSON.stringify({ ...json, ...entries }));
    return model;
  }

  it.each(['../.vscode', 'unet/../../outside', '/tmp/outside', '..', '', 'a\\b', 'C:evil', 'nul'])(
    'refuses a model that calls a part %j, and writes nothing',
    async (name) => {
      const model = stranger({ [name]: ['transformers', 'CLIPTokenizer'] });
      mkdirSync(join(folder, 'pkg', '.vscode'));
      writeFileSync(join(folder, 'pkg', '.vscode', 'tasks.json'), '{}');
      const converted = convertDiffusersDirectory(model, join(folder, 'out'), { dtype: 'float16' });
      await expect(converted).rejects.toThrow(/model_index\.json is called .*expected a plain name/);
      await expect(converted).rejects.toThrow(InputError);
      expect(await readdir(folder)).toEqual(['pkg']);
    },
  );

  it('copies the files that it knows, and no others', async () => {
    const model = stranger();
    writeFileSync(join(model, 'tokenizer', 'tasks.json'), '{}');
    writeFileSync(join(model, 'tasks.json'), '{}');
    writeFileSync(join(model, 'README.md'), Buffer.from([0xff, 0x41]));
    const out = join(folder, 'out');
    await convertDiffusersDirectory(model, out, { dtype: 'float16' });
    expect((await readdir(join(out, 'tokenizer'))).sort()).toEqual(
      (await readdir(join(source, 'tokenizer'))).sort(),
    );
    expect(await readdir(out)).not.toContain('tasks.json');
    expect([...(await readFile(join(out, 'README.md')))]).toEqual([0xff, 0x41]);
  });

  it('copies no link that leads out of the model', async () => {
    const model = stranger();
    writeFileSync(join(folder, 'secret.json'), '{"token": "hf_secret"}');
    symlinkSync(join(folder, 'secret.json'), join(model, 'tokenizer', 'added_tokens.json'));
    const converted = convertDiffusersDirectory(model, join(folder, 'out'), { dtype: 'float16' });
    await expect(converted).rejects.toThrow(/added_tokens\.json is a link to .*, outside of the model/);
    expect(await readdir(folder)).not.toContain('out');
  });

  it('copies the links of a cache of downloads, which consists of them', async () => {
    const root = join(folder, 'models--someone--tiny');
    const snapshot = join(root, 'snapshots', 'a'.repeat(40));
    mkdirSync(join(root, 'blobs'), { recursive: true });
    cpSync(source, snapshot, { recursive: true });
    const vocabulary = join(snapshot, 'tokenizer', 'vocab.json');
    renameSync(vocabulary, join(root, 'blobs', 'b'.repeat(40)));
    symlinkSync(`../../../blobs/${'b'.repeat(40)}`, vocabulary);
    const out = join(folder, 'out');
    await convertDiffusersDirectory(snapshot, out, { dtype: 'float16' });
    expect(await readFile(join(out, 'tokenizer/vocab.json'), 'utf8')).toBe(
      await readFile(join(source, 'tokenizer/vocab.json'), 'utf8'),
    );
  });

  it('refuses a part that the model lacks, and writes nothing', async () => {
    const out = join(folder, 'none');
    const replacements = { controlnet: source };
    await expect(convertDiffusersDirectory(source, out, { dtype: 'float32', replacements })).rejects.toThrow(
      InputError,
    );
    await expect(openDiffusersDirectory(out)).rejects.toThrow(InputError);
  });

  it.each([
    ['reads', 1],
    ['writes', 7],
  ])('stops while it %s, and leaves nothing behind', async (_, parts) => {
    const { signal } = new AbortController();
    let asked = 0;
    vi.spyOn(signal, 'throwIfAborted').mockImplementation(() => {
      if (asked++ === parts) throw new Error('enough');
    });
    const converted = convertDiffusersDirectory(source, join(folder, 'none'), { dtype: 'float16', signal });
    await expect(converted).rejects.toThrow('enough');
    expect(await readdir(folder)).toEqual([]);
  });
});
