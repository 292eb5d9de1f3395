import { fileURLToPath } from 'node:url';
import { expect, it, vi } from 'vitest';
import { createNodeEngine } from '../../engines/onnxruntime-node/engine.ts';
import { loadPipeline } from './load.ts';

vi.mock(import('../../engines/onnxruntime-node/engine.ts'), async (original) => {
  const module = await original();
  return { ...module, createNodeEngine: vi.fn(module.createNodeEngine) };
});

const model = fileURLToPath(new URL('../../../tests/fixtures/golden/pipelines/lcm/model', import.meta.url));

it.each([
  [undefined, [4]],
  [1, [4]],
  [2, [4, 1, 1]],
])('with %s replicas, engines of so many threads are made', async (replicas, threads) => {
  const create = vi.mocked(createNodeEngine).mockClear();
  const pipeline = await loadPipeline(model, { replicas, threads: 4 });
  await pipeline.dispose();
  expect(create.mock.calls.map(([options]) => options!.threads)).toEqual(threads);
});
