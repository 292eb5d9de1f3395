import { describe, expect, it } from 'vitest';
import { ShuffledIndices } from './random-stream.ts';

describe('ShuffledIndices', () => {
  const walk = (shuffled: boolean) => {
    const order = new ShuffledIndices(5, 7, shuffled);
    return [0, 1, 2].map((pass) => Array.from({ length: 7 }, (_, i) => order.at(pass * 7 + i)));
  };

  it('visits everything in each pass, in another order', () => {
    const passes = walk(false);
    for (const pass of passes) expect(pass.toSorted()).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(passes[1]).not.toEqual(passes[2]);
    expect(new ShuffledIndices(5, 7).at(9)).toBe(passes[1]![2]);
  });

  it('takes data that are in random order as they come, once', () => {
    const passes = walk(true);
    expect(passes[0]).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(passes[1]).toEqual(walk(false)[1]);
  });
});
