import { expect, it } from 'vitest';
import { guide, rescaleGuided } from './guidance.ts';

it('extrapolates from the unconditional prediction beyond the conditional one', () => {
  const unconditional = [0, 1, 2, 3];
  const conditional = [1, 1, 0, 4];
  expect([...guide(Float32Array.from([...unconditional, ...conditional]), 3)]).toEqual([3, 1, -4, 6]);
});

it('is the conditional prediction at scale 1', () => {
  expect([...guide(Float32Array.of(5, 6, 1, 2), 1)]).toEqual([1, 2]);
});

it('rescales each image to the spread of its conditional prediction', () => {
  const guided = Float32Array.of(-2, 2, -30, 30);
  const conditional = Float32Array.of(-1, 1, -1, 1);
  expect([...rescaleGuided(guided, conditional, 2, 1)]).toEqual([-1, 1, -1, 1]);
  expect([...rescaleGuided(guided, conditional, 2, 0.5)]).toEqual([-1.5, 1.5, -15.5, 15.5]);
  expect([...rescaleGuided(guided, conditional, 2, 0)]).toEqual([...guided]);
});

it('refuses a batch that does not divide the elements', () => {
  expect(() => rescaleGuided(new Float32Array(6), new Float32Array(6), 4, 1)).toThrow(
    /6 and 6 elements for a batch of 4/,
  );
});
