import { describe, expect, test } from 'vitest';
import type { Executable } from './engine.ts';
import { ExecutableCache } from './executable-cache.ts';

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

describe('ExecutableCache', () => {
  test('compiles once per key, also when asked twice at the same time', async () => {
    const { compiled, compile } = recorder();
    const cache = new ExecutableCache();
    const [a, b] = await Promise.all([cache.get('64×64', compile('x')), cache.get('64×64', compile('y'))]);
    expect(b).toBe(a);
    expect(await cache.get('64×64', compile('z'))).toBe(a);
    expect(compiled).toEqual(['x']);
    expect(cache.size).toBe(1);
  });

  test('lets go of the least recently used', async () => {
    const { compiled, disposed, compile } = recorder();
    const cache = new ExecutableCache(2);
    await cache.get('a', compile('a'));
    await cache.get('b', compile('b'));
    await cache.get('a', compile('a again'));
    await cache.get('c', compile('c'));
    expect(disposed).toEqual(['b']);
    await cache.get('b', compile('b'));
    expect(disposed).toEqual(['b', 'a']);
    expect(compiled).toEqual(['a', 'b', 'c', 'b']);
  });

  test('keeps no compilation that failed', async () => {
    const { compile } = recorder();
    const cache = new ExecutableCache(1);
    await expect(cache.get('a', () => Promise.reject(new Error('no memory')))).rejects.toThrow('no memory');
    expect(cache.size).toBe(0);
    await cache.get('a', compile('a'));
    expect(cache.size).toBe(1);
  });

  test('disposes of everything, also of what is still being compiled', async () => {
    const { disposed, compile } = recorder();
    const cache = new ExecutableCache();
    await cache.get('a', compile('a'));
    const pending = cache.get('b', compile('b'));
    await cache.dispose();
    await pending;
    expect(disposed).toEqual(['a', 'b']);
    expect(cache.size).toBe(0);
  });

  test('refuses a capacity below 1', () => {
    expect(() => new ExecutableCache(0)).toThrow('at least 1');
  });
});
