/**
 * An engine that the product does not have, by adding this file only: it splits nothing and speeds nothing up, but
 * writes down what was run, which is how a profiler or an engine on another machine begins.
 */
import { fileURLToPath } from 'node:url';
import { describe, expect, it, test } from 'vitest';
import {
  type CompileOptions,
  createReferenceEngine,
  type Executable,
  type KeepingEngine,
  type Program,
} from '../../src/graph.ts';
import { createPipeline, openModel } from '../../src/index.ts';
import { checks } from '../engines/conformance.ts';

interface Entry {
  readonly name: string;
  readonly operations: number;
  runs: number;
}

function loggingEngine(log: Entry[]): KeepingEngine {
  const inner = createReferenceEngine();
  const entryFor = (program: Program, { name = 'program' }: CompileOptions): Entry => {
    const entry = { name, operations: program.operations.length, runs: 0 };
    log.push(entry);
    return entry;
  };
  return {
    name: 'logging',
    async compile(program, options = {}): Promise<Executable> {
      const entry = entryFor(program, options);
      const executable = await inner.compile(program, options);
      return {
        async run(inputs, runOptions) {
          entry.runs += 1;
          return executable.run(inputs, runOptions);
        },
        dispose: () => executable.dispose(),
      };
    },
    compileKeeping: (program, keep, options) => inner.compileKeeping(program, keep, options),
    dispose: () => inner.dispose(),
  };
}

describe('an engine of somebody else', () => {
  const engine = loggingEngine([]);
  for (const check of checks) test(check.name, () => check.run(engine, 0));

  it('draws pictures', async () => {
    const log: Entry[] = [];
    const model = fileURLToPath(new URL('../fixtures/golden/pipelines/lcm/model', import.meta.url));
    const pipeline = await createPipeline(await openModel(model), loggingEngine(log));
    const { images } = await pipeline.generate({ prompt: 'a fox', steps: 2, seed: 1, width: 16, height: 16 });
    expect([images[0]!.width, images[0]!.height]).toEqual([16, 16]);
    expect(log.map(({ name, runs }) => [name, runs]).sort()).toEqual([
      ['UNet', 2],
      ['VAE decoder', 1],
      ['text encoder', 1],
    ]);
    await pipeline.dispose();
  });
});
