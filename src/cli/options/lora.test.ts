import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { InputError, UsageError } from '../../errors.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { formatLora } from '../../weights/format-lora.ts';
import { writeSafetensors } from '../../weights/node/safetensors-file.ts';
import { loraOption, openLoras } from './lora.ts';

describe('--lora', () => {
  it.each([
    ['lcm.safetensors', 'lcm.safetensors', 1],
    ['lcm.safetensors:0.8', 'lcm.safetensors', 0.8],
    ['a:b/style.safetensors:-.5', 'a:b/style.safetensors', -0.5],
    ['C:\\loras\\style.safetensors', 'C:\\loras\\style.safetensors', 1],
    ['folder:2', 'folder', 2],
  ])('reads %s', (text, path, strength) => {
    expect(loraOption(text)).toEqual([{ path, strength }]);
  });

  it('adds up', () => {
    expect(loraOption('b:2', loraOption('a:1'))).toEqual([
      { path: 'a', strength: 1 },
      { path: 'b', strength: 2 },
    ]);
    expect(() => loraOption('')).toThrow(UsageError);
  });
});

describe('openLoras', () => {
  let folder: string;
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'lora-'));
    const factors = new Map(
      ['A', 'B'].map((factor) => [`mid.fc.lora_${factor}.weight`, hostTensor(Float32Array.of(1), [1, 1])]),
    );
    const { tensors, metadata } = formatLora(factors, { rank: 1, alpha: 2 });
    await writeSafetensors(join(folder, 'pytorch_lora_weights.safetensors'), tensors, metadata);
    await writeFile(join(folder, 'old.bin'), '');
  });
  afterAll(() => rm(folder, { recursive: true }));

  it('opens files, and folders as diffusers writes them', async () => {
    const paths = [folder, join(folder, 'pytorch_lora_weights.safetensors')];
    for (const { lora, strength } of await openLoras(paths.map((path) => ({ path, strength: 0.5 })))) {
      expect(strength).toBe(0.5);
      expect(lora.layers.unet.get('mid_fc')).toMatchObject({ alpha: 2 });
    }
  });

  it.each([
    ['nowhere.safetensors', /there is no such file or folder/],
    ['old.bin', /Python pickle/],
  ])('refuses %s', async (name, message) => {
    const opening = openLoras([{ path: join(folder, name), strength: 1 }]);
    await expect(opening).rejects.toThrow(InputError);
    await expect(opening).rejects.toThrow(message);
  });
});
