import { describe, expect, it } from 'vitest';
import { Generator, type GeneratorState } from './generator.ts';
import { randnTensor } from './randn-tensor.ts';

describe('Generator', () => {
  it('gives mt19937: the 10000th word of seed 5489 is 4123659995 (C++ standard, [rand.predef])', () => {
    const g = new Generator(5489);
    for (let i = 1; i < 10000; i++) g.uint32();
    expect(g.uint32()).toBe(4123659995);
  });

  it('takes seeds modulo 2^32, negative ones and bigints too', () => {
    const words = (seed: number | bigint) => new Generator(seed).uint32();
    expect(words(2 ** 32 + 7)).toBe(words(7));
    expect(words(-1)).toBe(words(2 ** 32 - 1));
    expect(words(2n ** 60n + 7n)).toBe(words(7));
    expect(() => new Generator(1.5)).toThrow(/integer/);
    expect(() => new Generator(2 ** 53)).toThrow(/bigint/);
  });

  it('resumes from a state that went through JSON, in the middle of a pair of normals', () => {
    const g = new Generator(3);
    g.normal(17);
    g.normal(5);
    const state = JSON.parse(JSON.stringify(g.getState())) as GeneratorState;
    const resumed = new Generator(0);
    resumed.setState(state);
    expect(resumed.normal(3)).toEqual(g.normal(3));
    expect(resumed.normal(700)).toEqual(g.normal(700));
    expect(resumed.randperm(50)).toEqual(g.randperm(50));
  });

  it('refuses what is not a state', () => {
    const state = new Generator(0).getState();
    const broken = [
      { ...state, words: state.words.slice(1) },
      { ...state, words: state.words.with(5, -1) },
      { ...state, used: 625 },
      { ...state, keptNormal: undefined },
    ];
    for (const value of broken) {
      expect(() => new Generator(0).setState(value as GeneratorState)).toThrow(/state of a random generator/);
    }
  });

  it('refuses a range that 32 bits do not hold', () => {
    expect(() => new Generator(0).randint(0, 1)).toThrow(/2\^32/);
    expect(() => new Generator(0).randint(2 ** 32, 1)).toThrow(/2\^32/);
  });

  it('has normals of mean 0 and variance 1', () => {
    const n = 200_000;
    const values = new Generator(11).normal(n);
    const mean = values.reduce((sum, x) => sum + x, 0) / n;
    const variance = values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n;
    expect(Math.abs(mean)).toBeLessThan(5 / Math.sqrt(n));
    expect(Math.abs(variance - 1)).toBeLessThan((5 * Math.sqrt(2)) / Math.sqrt(n));
  });
});

describe('randnTensor', () => {
  it('gives an image the same noise in any batch', () => {
    const alone = randnTensor([1, 4, 8, 8], new Generator(5));
    const inBatch = randnTensor([2, 4, 8, 8], [new Generator(4), new Generator(5)]);
    expect(inBatch.slice(256)).toEqual(alone);
  });

  it('refuses a list that does not match the batch', () => {
    const generators = [new Generator(0), new Generator(1)];
    expect(() => randnTensor([3, 4], generators)).toThrow(/one per image of the batch \(3\); got 2/);
  });
});
