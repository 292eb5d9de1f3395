import { expect, test, vi } from 'vitest';
import { add } from '../../graph/operators/index.ts';
import { program } from '../../graph/program.ts';
import { input } from '../../graph/tensor.ts';
import { serialize } from '../onnx/serialize.ts';
import { createNodeEngine } from './engine.ts';

vi.mock(import('../onnx/serialize.ts'), async (original) => {
  const module = await original();
  return { ...module, serialize: vi.fn(module.serialize) };
});

test('signals and other requests have their turn between two of the programs that are written at once', async () => {
  let turns = 0;
  const turning = () => {
    turns++;
    next = setImmediate(turning);
  };
  let next = setImmediate(turning);
  const written: number[] = [];
  const { serialize: real } =
    await vi.importActual<typeof import('../onnx/serialize.ts')>('../onnx/serialize.ts');
  vi.mocked(serialize).mockImplementation((...request) => {
    written.push(turns);
    return real(...request);
  });
  const engine = createNodeEngine();
  try {
    const programs = [1, 2, 3].map((size) => {
      const x = input('x', [size]);
      return program({ y: add(x, 1) });
    });
    await Promise.all(programs.map((each) => engine.compile(each)));
  } finally {
    clearImmediate(next);
    await engine.dispose();
  }
  expect(written).toHaveLength(3);
  expect(new Set([0, ...written]).size).toBe(4);
});
