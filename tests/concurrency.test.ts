/** One pipeline that is asked for many things at once, and one that is disposed of in the middle of them. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import {
  createNodeEngine,
  createPipeline,
  diffusersFiles,
  type Engine,
  type GenerationRequest,
  loadPipeline,
} from '../src/index.ts';

const model = fileURLToPath(new URL('./fixtures/golden/pipelines/lcm/model', import.meta.url));
const teacher = fileURLToPath(new URL('./fixtures/golden/pipelines/sd/model', import.meta.url));

describe('requests at once', () => {
  const sizes: readonly (readonly [width: number, height: number])[] = [
    ...[[64, 64] as const, [72, 64] as const, [64, 72] as const, [80, 64] as const],
    ...[[64, 80] as const, [88, 64] as const, [64, 88] as const, [96, 96] as const],
  ];
  const requests: readonly GenerationRequest[] = Array.from({ length: 20 }, (_, i) => {
    const [width, height] = sizes[i % sizes.length]!;
    return {
      prompt: `a fox, the ${i}th`,
      seed: i,
      steps: 1 + (i % 4),
      width,
      height,
      numImages: 1 + (i % 2),
    };
  });

  const warnings: string[] = [];
  const hear = (warning: Error) => warnings.push(warning.message);
  process.on('warning', hear);
  afterAll(() => process.off('warning', hear));

  it.each([{}, { lowMemory: true }, { replicas: 2 }])(
    'of eight sizes give the pictures that each gives alone, with %j',
    async (options) => {
      const alone = await loadPipeline(model, { threads: 1, ...options });
      const together = await loadPipeline(model, { threads: 1, ...options });
      try {
        const { signal } = new AbortController();
        const generations = await Promise.all(
          requests.map((request) => together.generate({ ...request, signal })),
        );
        for (const [i, request] of requests.entries()) {
          const { images, latents } = await alone.generate(request);
          expect(generations[i]!.latents.data).toEqual(latents.data);
          expect(generations[i]!.images).toEqual(images);
        }
        expect(warnings).toEqual([]);
      } finally {
        await Promise.all([alone.dispose(), together.dispose()]);
      }
    },
  );
});

describe('a pipeline that is disposed of', () => {
  it.each([0, 1, 5, 20, 50, 100])('%i ms after its run began ends it with the reason', async (delay) => {
    const pipeline = await loadPipeline(teacher);
    const run = pipeline.generate({ prompt: 'a fox', seed: 1, steps: 900, guidanceScale: 2 });
    const failure = expect(run).rejects.toMatchObject({
      name: 'AbortError',
      message: 'the pipeline was disposed of',
    });
    await new Promise((resolve) => setTimeout(resolve, delay));
    await Promise.all([pipeline.dispose(), pipeline.dispose(), failure]);
    await expect(pipeline.generate({ prompt: 'a fox' })).rejects.toThrow('the pipeline was disposed of');
  });

  it('between two steps ends what is asked for afterwards, and draws no more', async () => {
    const pipeline = await loadPipeline(model);
    const steps = pipeline.generate({ prompt: 'a fox', seed: 1, steps: 4 })[Symbol.asyncIterator]();
    const { value } = await steps.next();
    await pipeline.dispose();
    await expect(value?.decode()).rejects.toThrow('the pipeline was disposed of');
    await expect(steps.next()).rejects.toThrow('the pipeline was disposed of');
  });

  it('compiles nothing more', async () => {
    const engine = createNodeEngine();
    let compiled = 0;
    const watched: Engine = {
      name: engine.name,
      dispose: () => engine.dispose(),
      compile(...args) {
        compiled++;
        return engine.compile(...args);
      },
    };
    const pipeline = await createPipeline(await diffusersFiles(model), watched);
    await pipeline.generate({ prompt: 'a fox', seed: 1, steps: 1 });
    expect(compiled).toBe(3);
    const steps = pipeline.generate({ prompt: 'a fox', seed: 1, steps: 4 })[Symbol.asyncIterator]();
    await steps.next();
    const disposed = pipeline.dispose();
    await expect(steps.next()).rejects.toThrow('the pipeline was disposed of');
    await disposed;
    expect(compiled).toBe(3);
  });

  it.each([5, 20, 40, 60, 80, 100])(
    'after %i ms lets a process with nothing else to do end with 0',
    async (delay) => {
      const library = JSON.stringify(new URL('../dist/index.js', import.meta.url).href);
      const script = `
        const { loadPipeline } = await import(${library});
        const pipeline = await loadPipeline(${JSON.stringify(teacher)});
        const run = pipeline.generate({ prompt: 'a fox', seed: 1, steps: 50 }).catch(({ name }) => name);
        await new Promise((resolve) => setTimeout(resolve, ${delay}));
        await pipeline.dispose();
        console.log(await run);`;
      // Any other exit code rejects: 13 is what Node ends with when an await never settles.
      const { stdout, stderr } = await promisify(execFile)(process.execPath, [
        ...['--input-type=module', '--eval', script],
      ]);
      expect([stdout, stderr]).toEqual(['AbortError\n', '']);
    },
  );
});
