import { expect, test } from 'vitest';
import { hostTensor } from '../graph/host-tensor.ts';
import type { Network } from './network.ts';
import { TextStates } from './text-states.ts';

const network = (name: string, clipSkip = 0): Network => ({
  role: 'text-encoder',
  name,
  variation: [clipSkip],
  component: { location: 'nowhere', weights: new Map() },
  write: () => ({}),
});
const ids = (...values: number[]) => hostTensor(BigInt64Array.from(values, BigInt), [1, values.length]);

/** States of 100 bytes for each prompt; `runs` counts them. */
function encoder() {
  let runs = 0;
  const encode = async () => {
    runs++;
    return { states: hostTensor(new Float32Array(25).fill(runs), [25]) };
  };
  return { encode, runs: () => runs };
}

test('the same ids of the same network, with as many layers left out, are encoded once', async () => {
  const states = new TextStates();
  const { encode, runs } = encoder();
  const first = await states.of(network('a'), ids(1, 2), encode);
  expect(await states.of(network('a'), ids(1, 2), encode)).toBe(first);
  expect(runs()).toBe(1);
  for (const [other, others] of [
    [network('b'), ids(1, 2)],
    [network('a', 1), ids(1, 2)],
    [network('a'), ids(1, 3)],
    [network('a'), hostTensor(BigInt64Array.of(1n, 2n), [2, 1])],
  ] as const) {
    expect(await states.of(other, others, encode)).not.toEqual(first);
  }
  expect(runs()).toBe(5);
});

test('the least recently used are forgotten when they take too much, and what is too large is never kept', async () => {
  const states = new TextStates(250);
  const { encode, runs } = encoder();
  const ask = (id: number) => states.of(network('a'), ids(id), encode);
  await ask(1);
  await ask(2);
  await ask(1);
  await ask(3);
  expect(runs()).toBe(3);
  await ask(1);
  expect(runs()).toBe(3);
  await ask(2);
  expect(runs()).toBe(4);
  const none = new TextStates(99);
  for (let i = 0; i < 2; i++) await none.of(network('a'), ids(1), encode);
  expect(runs()).toBe(6);
});

test('what failed is not kept', async () => {
  const states = new TextStates();
  const failing = states.of(network('a'), ids(1), () => Promise.reject(new Error('no')));
  await expect(failing).rejects.toThrow('no');
  const { encode, runs } = encoder();
  await states.of(network('a'), ids(1), encode);
  expect(runs()).toBe(1);
});
