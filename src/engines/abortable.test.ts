import { afterEach, expect, it } from 'vitest';
import { abortable, firstOf } from './abortable.ts';

const warnings: string[] = [];
const hear = (warning: Error) => warnings.push(warning.message);
process.on('warning', hear);
afterEach(() => process.off('warning', hear));

it('rejects all who wait for a signal at once, however many, and nobody hears of a leak', async () => {
  const stop = new AbortController();
  const never = new Promise<never>(() => {});
  const waiting = Array.from({ length: 50 }, () => abortable(never, stop.signal));
  const done = abortable(Promise.resolve(7), stop.signal);
  expect(await done).toBe(7);
  stop.abort(new Error('enough'));
  for (const wait of waiting) await expect(wait).rejects.toThrow('enough');
  await expect(abortable(never, stop.signal)).rejects.toThrow('enough');
  await new Promise((resolve) => setImmediate(resolve));
  expect(warnings).toEqual([]);
});

it('is heard where the work fails after all, and where there is no signal', async () => {
  const stop = new AbortController();
  await expect(abortable(Promise.reject(new Error('broken')), stop.signal)).rejects.toThrow('broken');
  await expect(abortable(Promise.reject(new Error('broken')))).rejects.toThrow('broken');
});

it('gives a signal that hears the first of several, until it is released', () => {
  const [a, b] = [new AbortController(), new AbortController()];
  const reasons = (...aborted: AbortController[]) => {
    const { signal, release } = firstOf(undefined, a.signal, b.signal);
    for (const [i, controller] of aborted.entries()) controller.abort(new Error(`reason ${i}`));
    release();
    return signal.aborted ? signal.reason.message : undefined;
  };
  expect(reasons()).toBeUndefined();
  const { signal, release } = firstOf(a.signal);
  release();
  expect(reasons(b, a)).toBe('reason 0');
  expect(signal.aborted).toBe(false);
  // One that is aborted already is heard at once.
  expect(reasons()).toBe('reason 1');
});
