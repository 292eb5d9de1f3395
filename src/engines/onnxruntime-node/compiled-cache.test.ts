import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { float32ToFloat16 } from '../../graph/float16.ts';
import { hostTensor } from '../../graph/host-tensor.ts';
import { cast, matmul, tanh } from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { input, parameter, type Tensor } from '../../graph/tensor.ts';
import type { Weights } from '../../weights/weights.ts';
import type { CompileOptions } from '../engine.ts';
import { CompiledCache, WEIGHTS } from './compiled-cache.ts';
import { createNodeEngine } from './engine.ts';

const folder = mkdtempSync(join(tmpdir(), 'compiled-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Of a matrix that is large enough to be kept: 64 MiB in float32. */
const SIDE = 4096;
const path = join(folder, 'weights.bin');
const x = hostTensor(
  Float32Array.from({ length: SIDE }, (_, i) => Math.cos(i)),
  [1, SIDE],
);

beforeAll(() => writeWeights(1));

function writeWeights(factor: number) {
  const values = Float32Array.from({ length: SIDE * SIDE }, (_, i) => (factor * Math.sin(i)) / 64);
  writeFileSync(path, new Uint8Array(float32ToFloat16(values).buffer));
}

/** As many layers, whose weights lie in the same place. */
function network(layers: number) {
  const storage = {
    kind: 'source',
    source: { name: path, path, size: 2 * SIDE * SIDE, read: () => Promise.reject(new Error('read')) },
    offset: 0,
    length: 2 * SIDE * SIDE,
  } as const;
  const weights: Weights = new Map(
    Array.from({ length: layers }, (_, i) => [`w${i}`, { dtype: 'float16', shape: [SIDE, SIDE], storage }]),
  );
  let y: Tensor = input('x', [1, SIDE]);
  for (const name of weights.keys())
    y = tanh(matmul(y, cast(parameter(name, [SIDE, SIDE], 'float16'), 'float32')));
  return { layers: program({ y }), weights };
}

async function run(layers: number, compiledCache?: string, options: CompileOptions = {}) {
  await using engine = createNodeEngine({ compiledCache });
  const { layers: whole, weights } = network(layers);
  const executable = await engine.compile(whole, { weights, ...options });
  const { y } = await executable.run({ x });
  await executable.dispose();
  return y!.data;
}

describe('compiled models', () => {
  const cache = join(folder, 'cache');
  const entries = () => readdirSync(cache).toSorted();

  test('are made once, and compute the same to the bit', async () => {
    const plain = await run(1);
    expect(await run(1, cache)).toEqual(plain);
    expect(entries()).toHaveLength(1);
    const [entry] = entries();
    const model = readFileSync(join(cache, entry!, 'model.onnx'));
    expect(await run(1, cache)).toEqual(plain);
    expect(entries()).toEqual([entry]);
    expect(readFileSync(join(cache, entry!, 'model.onnx'))).toEqual(model);
  });

  test('are made again where a file of theirs is cut off, which would end the process', async () => {
    const plain = await run(1);
    const weights = join(cache, entries()[0]!, WEIGHTS);
    const { length } = readFileSync(weights);
    truncateSync(weights, length - 5000);
    expect(await run(1, cache)).toEqual(plain);
    expect(readFileSync(weights)).toHaveLength(length);
  });

  test('of other weights in the same place are others', async () => {
    const before = await run(1, cache);
    const entriesBefore = entries();
    writeWeights(2);
    const after = await run(1, cache);
    expect(after).not.toEqual(before);
    expect(after).toEqual(await run(1));
    expect(entries().length).toBe(entriesBefore.length + 1);
  });

  test('are made once by several engines of a process that ask at the same time', async () => {
    const shared = join(folder, 'shared');
    const results = await Promise.all([run(1, shared), run(1, shared), run(1, shared)]);
    for (const result of results) expect(result).toEqual(results[0]);
    expect(readdirSync(shared)).toHaveLength(1);
  });

  test('of large programs may be streamed, with the cache and without', async () => {
    const plain = await run(5);
    expect(await run(5, undefined, { streamed: true })).toEqual(plain);
    expect(await run(5, cache, { streamed: true })).toEqual(plain);
    expect(await run(5, cache)).toEqual(plain);
  });

  test('cannot be kept where there is no folder to be made, which is said', async () => {
    await expect(run(1, path)).rejects.toThrow(/program cannot be compiled for the cache .*weights\.bin/);
  });
});

describe('the cache', () => {
  const root = join(folder, 'bounded');
  const make = (size: number) => async (model: string) => writeFileSync(model, new Uint8Array(size));

  test('lets go of what was used least recently, but of nothing that it lent itself', async () => {
    const first = new CompiledCache(root, 3500);
    for (const [i, key] of ['a', 'b', 'c'].entries()) {
      await first.add(key, make(1000));
      utimesSync(join(root, key), i, i);
    }
    const second = new CompiledCache(root, 3500);
    expect(await second.find('a')).toBe(join(root, 'a', 'model.onnx'));
    await second.add('d', make(1000));
    expect(readdirSync(root).toSorted()).toEqual(['a', 'c', 'd']);
  });

  test('has nothing of what failed to be made', async () => {
    const cache = new CompiledCache(root);
    const failing = cache.add('e', async (model) => {
      writeFileSync(model, 'half');
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await cache.find('e')).toBeUndefined();
    expect(readdirSync(root).toSorted()).toEqual(['a', 'c', 'd']);
  });
});
