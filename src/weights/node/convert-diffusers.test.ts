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
