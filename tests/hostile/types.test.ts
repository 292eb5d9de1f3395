/** Tensors of types that are not read here: no reason against a file, unless they are needed. */
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeEach, expect, it } from 'vitest';
import { convertModel } from '../../src/components/node/convert-model.ts';
import { openModel } from '../../src/components/node/open-model.ts';
import { loadPipeline } from '../../src/pipelines/node/load.ts';
import { networkOf } from '../../src/training/runs/model-files.ts';
import { openSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { foreignNames } from '../../src/weights/weights.ts';
import { addTensor, retype } from '../weights/foreign-tensors.ts';

const fixtures = fileURLToPath(new URL('../fixtures/golden/pipelines', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'hostile-'));
afterAll(() => rmSync(folder, { recursive: true }));

const TYPES = [
  ['U64', 8],
  ['I16', 2],
  ['U16', 2],
  ['U32', 4],
  ['F8_E4M3', 1],
  ['F8_E5M2', 1],
  ['F8_E8M0', 1],
  ['C64', 8],
  ['F4', 0.5],
  ['I4_OF_A_LATER_VERSION', 0.3],
] as const;

let model: string;
let unet: string;
beforeEach(() => {
  model = mkdtempSync(join(folder, 'model-'));
  cpSync(join(fixtures, 'sd', 'model'), model, { recursive: true });
  unet = join(model, 'unet', 'diffusion_pytorch_model.safetensors');
});

async function picture(path: string, options: { config?: string; tokenizer?: string } = {}) {
  const pipeline = await loadPipeline(path, options);
  try {
    const { images } = await pipeline.generate({ prompt: 'a fox', steps: 1, seed: 0, guidanceScale: 1 });
    return images[0]!.data;
  } finally {
    await pipeline.dispose();
  }
}

it('change nothing where nobody needs them, in folders and in single files', async () => {
  const before = await picture(model);
  for (const [dtype, bytes] of TYPES) {
    addTensor(unet, `marker.${dtype}`, { dtype, shape: [10] }, 10 * bytes);
  }
  addTensor(unet, 'scaled_fp8', { dtype: 'F8_E4M3', shape: [0] }, 0);
  expect(foreignNames((await openSafetensors(unet)).weights)).toHaveLength(TYPES.length + 1);
  expect(await picture(model)).toEqual(before);

  const single = join(folder, 'single.safetensors');
  cpSync(join(fixtures, 'single_file', 'model_fp16.safetensors'), single);
  const config = join(fixtures, 'single_file', 'config');
  const ofSingle = await picture(single, { config });
  for (const [dtype, bytes] of TYPES) {
    addTensor(single, `model.${dtype}`, { dtype, shape: [10] }, 10 * bytes);
  }
  addTensor(single, 'global_step', { dtype: 'U64', shape: [] }, 8);
  expect(await picture(single, { config })).toEqual(ofSingle);
});

it.each(TYPES)('are refused by name where they are needed: %s', async (dtype, bytes) => {
  retype(unet, 'conv_in.weight', dtype, bytes);
  await expect(picture(model)).rejects.toThrow(
    /the weight conv_in\.weight of .*diffusion_pytorch_model\.safetensors is stored /,
  );
});

it('are refused by whoever would have to write them again', async () => {
  addTensor(unet, 'marker', { dtype: 'F8_E4M3', shape: [4] }, 4);
  const message = /the weight marker of .*\.safetensors is stored as F8_E4M3/;
  const converted = convertModel(await openModel(model), join(folder, 'out'), { dtype: 'float16' });
  await expect(converted).rejects.toThrow(message);
  expect(existsSync(join(folder, 'out'))).toBe(false);
  await expect(networkOf(await openModel(model), 'unet')).rejects.toThrow(message);
});
