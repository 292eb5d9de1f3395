import { beforeEach, expect, it } from 'vitest';
import { Drawing } from './drawing.ts';
import type { Generation, GenerationStep } from './generation.ts';

const generation = { images: [] } as unknown as Generation;

/** What was drawn, in its order, and how it ended. */
let log: (number | string)[];
beforeEach(() => {
  log = [];
});

/** A drawing of three steps; `failing` throws before that step. */
function drawing(failing?: number): Drawing {
  async function* steps(): AsyncGenerator<GenerationStep, Generation> {
    try {
      for (const step of [1, 2, 3]) {
        await new Promise((resolve) => setTimeout(resolve));
        if (step === failing) throw new Error(`no step ${step}`);
        log.push(step);
        yield { step } as GenerationStep;
      }
      return generation;
    } finally {
      log.push('end');
    }
  }
  return new Drawing(steps());
}

async function stepsOf(steps: AsyncIterable<GenerationStep>, until = 3): Promise<number[]> {
  const seen: number[] = [];
  for await (const { step } of steps) {
    seen.push(step);
    if (step === until && until < 3) break;
  }
  return seen;
}

it('is nothing until somebody asks, and its result when it is awaited, drawn once', async () => {
  const fox = drawing();
  await new Promise((resolve) => setTimeout(resolve, 5));
  expect(log).toEqual([]);
  expect(await fox).toBe(generation);
  expect(await fox.finally()).toBe(generation);
  expect(await stepsOf(fox)).toEqual([]);
  expect(log).toEqual([1, 2, 3, 'end']);
});

it('is its steps when it is iterated, each drawn when it is asked for, and then its result', async () => {
  const fox = drawing();
  const seen: number[] = [];
  for await (const { step } of fox) {
    seen.push(step);
    await new Promise((resolve) => setTimeout(resolve, 5));
    expect(log).toEqual(seen);
  }
  expect(seen).toEqual([1, 2, 3]);
  expect(await fox).toBe(generation);
  expect(log).toEqual([1, 2, 3, 'end']);
});

it.each(['awaited first', 'iterated first'])('gives both to those who want both: %s', async (order) => {
  const fox = drawing();
  const asked =
    order === 'awaited first'
      ? [fox.then(), stepsOf(fox), stepsOf(fox)]
      : [stepsOf(fox), stepsOf(fox), fox.then()].toReversed();
  expect(await Promise.all(asked)).toEqual([generation, [1, 2, 3], [1, 2, 3]]);
  expect(log).toEqual([1, 2, 3, 'end']);
});

it('is iterated from what is not drawn yet', async () => {
  const fox = drawing();
  const first = fox[Symbol.asyncIterator]();
  await first.next();
  const rest = stepsOf(fox);
  expect(await stepsOf(first)).toEqual([2, 3]);
  expect(await rest).toEqual([2, 3]);
});

it('is cancelled by whoever leaves its steps', async () => {
  const fox = drawing();
  expect(await stepsOf(fox, 2)).toEqual([1, 2]);
  expect(log).toEqual([1, 2, 'end']);
  await expect(fox).rejects.toMatchObject({ name: 'AbortError' });
  await expect(stepsOf(fox)).rejects.toMatchObject({ name: 'AbortError' });

  const awaited = drawing();
  const result = expect(awaited).rejects.toMatchObject({ name: 'AbortError' });
  await stepsOf(awaited, 1);
  await result;
});

it('keeps its result from a reader who is behind and leaves', async () => {
  const fox = drawing();
  const steps = fox[Symbol.asyncIterator]();
  await steps.next();
  await fox;
  await steps.return(undefined);
  expect(await fox).toBe(generation);
});

it('tells an error to those who ask, and to nobody else', async () => {
  const unhandled: unknown[] = [];
  const listener = (reason: unknown) => unhandled.push(reason);
  process.on('unhandledRejection', listener);
  try {
    await expect(stepsOf(drawing(2))).rejects.toThrow('no step 2');
    const fox = drawing(1);
    await expect(fox).rejects.toThrow('no step 1');
    await expect(stepsOf(fox)).rejects.toThrow('no step 1');
    expect(await fox.catch((error) => String(error))).toBe('Error: no step 1');
    const both = drawing(3);
    await Promise.allSettled([stepsOf(both), both]);
    await new Promise((resolve) => setTimeout(resolve, 10));
    expect(unhandled).toEqual([]);
    expect(log).toEqual([1, 'end', 'end', 1, 2, 'end']);
  } finally {
    process.off('unhandledRejection', listener);
  }
});
