import { describe, expect, test } from 'vitest';
import { hostTensor } from '../graph/host-tensor.ts';
import { add, multiply } from '../graph/operators/index.ts';
import { program } from '../graph/program.ts';
import { segments } from '../graph/segments.ts';
import { input, parameter, type Tensor } from '../graph/tensor.ts';
import type { Executable } from './engine.ts';
import { ExecutableCache } from './executable-cache.ts';
import { createReferenceEngine } from './reference/engine.ts';
import { segmented } from './segmented.ts';

/** Compiles executables that record when they are disposed of. */
function recorder() {
  const compiled: string[] = [];
  const disposed: string[] = [];
  const compile = (name: string) => async (): Promise<Executable> => {
    compiled.push(name);
    await Promise.resolve();
    return { run: async () => ({}), dispose: async () => void disposed.push(name) };
  };
  return { compiled, disposed, compile };
}

/** Work that lasts until it is told to end. */
function lasting() {
  let end = () => {};
  const done = new Promise<void>((resolve) => {
    end = resolve;
  });
  return { work: () => done, end };
}

const nothing = async () => {};
const itself = async (executable: Executable) => executable;

describe('ExecutableCache', () => {
  test('compiles once per key, also when asked twice at the same time', async () => {
    const { compiled, compile } = recorder();
    const cache = new ExecutableCache();
    const use = (name: string) => cache.use('64×64', compile(name), itself);
    const [a, b] = await Promise.all([use('x'), use('y')]);
    expect(b).toBe(a);
    expect(await use('z')).toBe(a);
    expect(compiled).toEqual(['x']);
    expect(cache.size).toBe(1);
  });

  test('gives what the work gives, and tells how it failed', async () => {
    const { compile } = recorder();
    const cache = new ExecutableCache();
    expect(await cache.use('a', compile('a'), async () => 7)).toBe(7);
    const failing = cache.use('a', compile('a'), () => Promise.reject(new Error('no power')));
    await expect(failing).rejects.toThrow('no power');
    expect(cache.size).toBe(1);
  });

  test('lets go of the least recently used before another is compiled', async () => {
    const { compiled, disposed, compile } = recorder();
    const cache = new ExecutableCache(2);
    for (const name of ['a', 'b', 'a']) await cache.use(name, compile(name), nothing);
    const disposedBefore: string[] = [];
    const compileC = () => {
      disposedBefore.push(...disposed);
      return compile('c')();
    };
    await cache.use('c', compileC, nothing);
    expect(disposedBefore).toEqual(['b']);
    await cache.use('b', compile('b'), nothing);
    expect(disposed).toEqual(['b', 'a']);
    expect(compiled).toEqual(['a', 'b', 'c', 'b']);
  });

  test('disposes of nothing in use, but at the end of the last loan', async () => {
    const { disposed, compile } = recorder();
    const cache = new ExecutableCache(1);
    const [one, two] = [lasting(), lasting()];
    const loans = [one, two].map(({ work }) => cache.use('a', compile('a'), work));
    for (const name of ['b', 'c', 'd']) await cache.use(name, compile(name), nothing);
    expect(disposed).toEqual(['b', 'c']);
    one.end();
    await loans[0];
    expect([disposed, cache.size]).toEqual([['b', 'c', 'd'], 1]);
    const replaced = cache.use('e', compile('e'), nothing);
    two.end();
    await Promise.all([loans[1], replaced]);
    await cache.use('f', compile('f'), nothing);
    expect(disposed).toEqual(['b', 'c', 'd', 'a', 'e']);
  });

  test('is back at its capacity when all who used more at once are done', async () => {
    const { compiled, disposed, compile } = recorder();
    const cache = new ExecutableCache(2);
    const names = ['a', 'b', 'c', 'd', 'e'];
    const uses = names.map((name) => ({ name, ...lasting() }));
    const loans = uses.map(({ name, work }) => cache.use(name, compile(name), work));
    await Promise.resolve();
    expect(cache.size).toBe(5);
    // Each asks again as soon as it has finished, as the steps of a generation do.
    const again = loans.map((loan, i) => loan.then(() => cache.use(names[i]!, compile('again'), nothing)));
    for (const { end } of uses) {
      end();
      // The thread that runs them answers in one message after the other.
      await new Promise((resolve) => setImmediate(resolve));
    }
    await Promise.all(again);
    expect(compiled).toEqual(names);
    expect(disposed).toHaveLength(3);
    expect(cache.size).toBe(2);
  });

  test('runs all segments of an executable though eight others are asked for meanwhile', async () => {
    const engine = createReferenceEngine();
    const cache = new ExecutableCache();
    const x = input('x', [4]);
    const layers = Array.from({ length: 3 }, (_, i) => parameter(`w${i}`, [4]));
    const whole = program({ y: layers.reduce((h: Tensor, w) => multiply(add(h, w), 2), x) });
    const given = { x: hostTensor(Float32Array.of(1, 2, 3, 4), [4]) };
    const weight = hostTensor(Float32Array.of(1, 0, -1, 5), [4]);
    const inputs = { ...given, w0: weight, w1: weight, w2: weight };
    const others = Array.from({ length: 8 }, (_, i) => `other ${i}`);
    const disposed: string[] = [];
    const watched = (name: string, executable: Executable): Executable => {
      let gone = false;
      return {
        run(values) {
          if (gone) throw new Error(`${name} was disposed of and cannot be run`);
          return executable.run(values);
        },
        async dispose() {
          gone = true;
          disposed.push(name);
        },
      };
    };
    const compileSegmented = async () => {
      const parts = segments(whole, 3);
      const compiled = await Promise.all(
        parts.map(async (part, i) => watched(`part ${i + 1}`, await engine.compile(part))),
      );
      // Between two segments, others come and go.
      const first = compiled[0]!;
      compiled[0] = {
        ...first,
        async run(values) {
          const result = await first.run(values);
          for (const name of others) await cache.use(name, compileOther(name), nothing);
          return result;
        },
      };
      return segmented({ name: 'network', whole, segments: parts, bound: () => false }, compiled);
    };
    const compileOther = (name: string) => async () => watched(name, await engine.compile(program({ x })));
    const { y } = await cache.use('network', compileSegmented, (executable) => executable.run(inputs));
    const plain = await engine.compile(whole);
    expect(y).toEqual((await plain.run(inputs)).y);
    expect(disposed).toEqual(['other 0']);
  });

  test('gives up a compilation that nobody waits for any more, and begins anew for who comes later', async () => {
    const cache = new ExecutableCache();
    const { compiled, compile } = recorder();
    const given: AbortSignal[] = [];
    // As an engine that is busy: it begins only when it is told to, unless nobody wants it by then.
    let begin = () => {};
    const waiting = async (unwanted: AbortSignal) => {
      given.push(unwanted);
      await new Promise<void>((resolve) => {
        begin = resolve;
      });
      unwanted.throwIfAborted();
      return compile('a')();
    };
    const [one, two] = [new AbortController(), new AbortController()];
    const first = cache.use('a', waiting, nothing, one.signal);
    const second = cache.use('a', waiting, nothing, two.signal);
    one.abort(new Error('one is gone'));
    await expect(first).rejects.toThrow('one is gone');
    expect(given.map(({ aborted }) => aborted)).toEqual([false]);
    two.abort(new Error('two is gone'));
    await expect(second).rejects.toThrow('two is gone');
    expect(given.map(({ aborted }) => aborted)).toEqual([true]);
    const third = cache.use('a', compile('a again'), itself);
    begin();
    await third;
    expect([compiled, cache.size]).toEqual([['a again'], 1]);
  });

  test('keeps what was compiled though all had given it up, if the engine was at it', async () => {
    const { compiled, disposed, compile } = recorder();
    const cache = new ExecutableCache();
    const stop = new AbortController();
    const { work, end } = lasting();
    const slow = async () => {
      await work();
      return compile('a')();
    };
    const first = cache.use('a', slow, nothing, stop.signal);
    await Promise.resolve();
    stop.abort(new Error('enough'));
    await expect(first).rejects.toThrow('enough');
    const second = cache.use('a', compile('a again'), nothing);
    end();
    await second;
    expect([compiled, disposed, cache.size]).toEqual([['a'], [], 1]);
    await cache.dispose();
    expect(disposed).toEqual(['a']);
  });

  test('keeps no compilation that failed, and tells all who waited', async () => {
    const { compile } = recorder();
    const cache = new ExecutableCache(1);
    const failing = () => Promise.reject(new Error('no memory'));
    const uses = [failing, compile('not asked')].map((make) => cache.use('a', make, nothing));
    for (const use of uses) await expect(use).rejects.toThrow('no memory');
    expect(cache.size).toBe(0);
    await cache.use('a', compile('a'), nothing);
    expect(cache.size).toBe(1);
  });

  test('disposes of everything: what is compiled or used, when that is done', async () => {
    const { disposed, compile } = recorder();
    const cache = new ExecutableCache();
    await cache.use('a', compile('a'), nothing);
    const { work, end } = lasting();
    const used = cache.use('b', compile('b'), work);
    const pending = cache.use('c', compile('c'), nothing);
    const failing = cache.use('d', () => Promise.reject(new Error('no memory')), nothing);
    const all = cache.dispose();
    await pending;
    await expect(failing).rejects.toThrow('no memory');
    expect(disposed).toEqual(['a', 'c']);
    end();
    await all;
    await used;
    expect(disposed).toEqual(['a', 'c', 'b']);
    expect(cache.size).toBe(0);
    await expect(cache.use('a', compile('a'), nothing)).rejects.toThrow('a was disposed of');
  });

  test('tells of an executable that cannot be disposed of', async () => {
    const cache = new ExecutableCache();
    const stuck = { run: async () => ({}), dispose: () => Promise.reject(new Error('it is stuck')) };
    await cache.use('a', async () => stuck, nothing);
    await expect(cache.dispose()).rejects.toThrow('it is stuck');
  });

  test('refuses a capacity below 1', () => {
    expect(() => new ExecutableCache(0)).toThrow('at least 1');
  });
});
