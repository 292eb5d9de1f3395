import { setImmediate } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { matmul } from '../graph/operators/index.ts';
import { type Program, program } from '../graph/program.ts';
import { input, parameter } from '../graph/tensor.ts';
import { type CompileSegment, compileSegments } from './compile-segments.ts';
import type { Executable } from './engine.ts';

const layer = (width: number): Program =>
  program({ y: matmul(input('x', [1, width]), parameter('w', [width, width])) });
const segments = [2, 16, 4, 8].map(layer);
const partOf = (part: number) => [...segments[part - 1]!.parameters.values()][0]!.shape[0];

/** A worker that writes down what it compiles and what is disposed of. */
function recorder(fails?: number) {
  const compiled: number[] = [];
  const disposed: number[] = [];
  const compile: CompileSegment = async (segment, part) => {
    expect(segment).toBe(segments[part - 1]);
    await setImmediate();
    if (part === fails) throw new Error(`part ${part} does not compile`);
    compiled.push(part);
    const executable: Executable = {
      run: () => Promise.reject(new Error('not run here')),
      dispose: async () => void disposed.push(part),
    };
    return executable;
  };
  return { compile, compiled, disposed };
}

describe('compileSegments', () => {
  it('starts with the largest weight and returns the segments in their own order', async () => {
    const { compile, compiled, disposed } = recorder();
    const result = await compileSegments(segments, [compile]);
    expect(compiled.map(partOf)).toEqual([16, 8, 4, 2]);
    for (const executable of result) await executable.dispose();
    expect(disposed.map(partOf)).toEqual([2, 16, 4, 8]);
  });

  it('shares the work among workers, each segment compiled once', async () => {
    const workers = [recorder(), recorder(), recorder()];
    await compileSegments(
      segments,
      workers.map(({ compile }) => compile),
    );
    const parts = workers.map(({ compiled }) => compiled);
    expect(parts.flat().toSorted()).toEqual([1, 2, 3, 4]);
    for (const mine of parts) expect(mine.length).toBeGreaterThan(0);
  });

  it('disposes of what was compiled when a segment fails, and starts no more', async () => {
    const { compile, compiled, disposed } = recorder(4);
    await expect(compileSegments(segments, [compile])).rejects.toThrow('part 4 does not compile');
    expect(compiled).toEqual([2]);
    expect(disposed).toEqual([2]);
  });
});
