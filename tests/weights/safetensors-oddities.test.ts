/** Single-file checkpoints with what other programs leave in them: the picture is that of the plain file. */
import { appendFileSync, cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { InputError } from '../../src/errors.ts';
import { hostTensor } from '../../src/graph/host-tensor.ts';
import { loadPipeline } from '../../src/pipelines/node/load.ts';
import { convertTensor } from '../../src/weights/convert.ts';
import { loadTensors } from '../../src/weights/load-tensors.ts';
import { openSafetensors, writeSafetensors } from '../../src/weights/node/safetensors-file.ts';
import { temporaryFolder } from '../cli/lcm.ts';
import type { Tensors } from '../conformance/model-cases.ts';

const fixtures = fileURLToPath(new URL('../fixtures/golden/pipelines/single_file', import.meta.url));
const original = join(fixtures, 'model_fp16.safetensors');
const folder = temporaryFolder();
afterAll(folder.remove);

let tensors: Tensors;
let plain: Uint8Array;
beforeAll(async () => {
  tensors = await loadTensors((await openSafetensors(original)).weights);
  plain = await picture(original);
});

async function picture(path: string): Promise<Uint8Array> {
  const pipeline = await loadPipeline(path, { config: join(fixtures, 'config') });
  try {
    const { images } = await pipeline.generate({ prompt: 'a fox', steps: 1, seed: 0, guidanceScale: 1 });
    return images[0]!.data;
  } finally {
    await pipeline.dispose();
  }
}

const TEXT = 'cond_stage_model.transformer.text_model.';
const POSITIONS = `${TEXT}embeddings.position_ids`;
const counted = hostTensor(
  Float32Array.from({ length: 77 }, (_, i) => i),
  [1, 77],
);

it.each<[string, (stored: Tensors) => Tensors]>([
  [
    'empty marker tensors',
    (stored) =>
      new Map([['a_marker', hostTensor(new Float32Array(0), [0])], ...stored]).set(
        'z',
        hostTensor(new Float32Array(0), [3, 0]),
      ),
  ],
  [
    'the names that CLIP had before',
    (stored) =>
      new Map(
        [...stored].map(([name, tensor]) => [name.replace(TEXT, 'cond_stage_model.transformer.'), tensor]),
      ),
  ],
  [
    'positions in half precision',
    (stored) => new Map(stored).set(POSITIONS, convertTensor(counted, 'float16')),
  ],
  ['positions in single precision', (stored) => new Map(stored).set(POSITIONS, counted)],
  ['positions that are left out', (stored) => new Map([...stored].filter(([name]) => name !== POSITIONS))],
  [
    'averages of training',
    (stored) => {
      const averages = [...stored]
        .filter(([name]) => name.startsWith('model.diffusion_model.'))
        .map(([name, { shape }]) => {
          const length = shape.reduce((product, size) => product * size, 1);
          const key = name
            .replace('model.diffusion_model.', 'model_ema.diffusion_model')
            .replaceAll(/(?<=diffusion_model.*)\./g, '');
          return [key, hostTensor(new Float32Array(length).fill(9), shape)] as const;
        });
      return new Map([...stored, ...averages])
        .set('model_ema.decay', hostTensor(Float32Array.of(0.9999), []))
        .set('model_ema.num_updates', hostTensor(Int32Array.of(470_000), []));
    },
  ],
  [
    'what training keeps',
    (stored) => {
      const table = hostTensor(new Float32Array(1000).fill(0.5), [1000]);
      const names = ['betas', 'alphas_cumprod', 'sqrt_alphas_cumprod', 'posterior_variance', 'logvar'];
      return new Map([...stored, ...names.map((name) => [name, table] as const)])
        .set('first_stage_model.loss.logvar', hostTensor(Float32Array.of(0), []))
        .set('optimizer_states.0.exp_avg', table)
        .set('global_step', hostTensor(BigInt64Array.of(470_000n), []));
    },
  ],
])('%s change nothing', async (name, change) => {
  const changed = change(tensors);
  const described = (all: Tensors) => [...all].map(([key, { dtype }]) => `${key} ${dtype}`).sort();
  expect(described(changed)).not.toEqual(described(tensors));
  const path = join(folder.path, `${name}.safetensors`);
  await writeSafetensors(path, changed);
  expect(await picture(path)).toEqual(plain);
});

it.each([1, 4, 6])('data that begin %i bytes off a multiple of 8 change nothing', async (offset) => {
  const file = readFileSync(original);
  const end = 8 + Number(file.readBigUInt64LE());
  const header = file.toString('utf8', 8, end).trimEnd();
  const padded = header.padEnd(8 * Math.ceil(Buffer.byteLength(header) / 8) + offset);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(Buffer.byteLength(padded)));
  const path = join(folder.path, `offset-${offset}.safetensors`);
  writeFileSync(path, Buffer.concat([length, Buffer.from(padded), file.subarray(end)]));
  const [first] = (await openSafetensors(path)).weights.values();
  expect(first).toMatchObject({ storage: { offset: 8 + padded.length } });
  expect(padded.length % 8).toBe(offset);
  expect(await picture(path)).toEqual(plain);
});

it('bytes behind the last tensor are refused, with the file', async () => {
  const path = join(folder.path, 'trailing.safetensors');
  cpSync(original, path);
  appendFileSync(path, Buffer.alloc(3));
  await expect(picture(path)).rejects.toThrow(InputError);
  await expect(picture(path)).rejects.toThrow(
    /trailing\.safetensors.*tensors end at byte \d+ of the data, which has \d+/,
  );
});
