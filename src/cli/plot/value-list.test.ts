import { describe, expect, it } from 'vitest';
import { UsageError } from '../../errors.ts';
import { MOST_VALUES, rangeOf, splitList } from './value-list.ts';

describe('splitList', () => {
  it.each([
    ['1,2,4', ['1', '2', '4']],
    [' 1 , 2 ', ['1', '2']],
    ['a fox, "a hen, asleep" ,a cat', ['a fox', 'a hen, asleep', 'a cat']],
    ['"she said ""no"""', ['she said "no"']],
    ['"",blurry', ['', 'blurry']],
    ['a,,b,', ['a', '', 'b', '']],
    ['a 5" disk, b', ['a 5" disk', 'b']],
    ['"open,b', undefined],
    ['"a" b,c', undefined],
  ])('%s', (text, parts) => {
    if (parts) expect(splitList('--x prompt', text)).toEqual(parts);
    else expect(() => splitList('--x prompt', text)).toThrow(/^--x prompt=.*: .* close every quote/);
  });

  it('has an end', () => {
    expect(() => splitList('--x seed', '1,'.repeat(MOST_VALUES))).toThrow(UsageError);
  });
});

describe('rangeOf', () => {
  it.each([
    ['1-4', [1, 2, 3, 4]],
    ['4-1', [4, 3, 2, 1]],
    ['3-3', [3]],
    ['-2-1', [-2, -1, 0, 1]],
    ['1-10:3', [1, 4, 7, 10]],
    ['10-1:3', [10, 7, 4, 1]],
    ['1-10 (+3)', [1, 4, 7, 10]],
    ['10-5 (-3)', [10, 7]],
    // Automatic1111's own example.
    ['1-10 [5]', [1, 3, 5, 7, 10]],
    ['5-9 [1]', [5]],
  ])('%s, whole', (text, values) => {
    expect(rangeOf('--x steps', text, true)).toEqual(values);
  });

  it.each([
    ['0-1 [5]', [0, 0.25, 0.5, 0.75, 1]],
    ['0-0.3:0.1', [0, 0.1, 0.2, 0.3]],
    ['.5-2', [0.5, 1.5]],
    ['1-0 (-0.5)', [1, 0.5, 0]],
  ])('%s, with fractions', (text, values) => {
    expect(rangeOf('--x strength', text, false)).toEqual(values);
  });

  it.each(['5', '-5', '1e3', 'four', '1-', '1-2-3', ''])('leaves %s alone', (text) => {
    expect(rangeOf('--x steps', text, true)).toBeUndefined();
  });

  it.each([
    ['1-5 (-1)', /--x steps=1-5 \(-1\): the range leads away from its end/],
    ['1-5:0', /never ends/],
    ['1-5 [0]', /leads away|0 values/],
    ['1-5000', /has 5000 values; expected 1 to 256/],
  ])('refuses %s', (text, message) => {
    expect(() => rangeOf('--x steps', text, true)).toThrow(message);
    expect(() => rangeOf('--x steps', text, true)).toThrow(UsageError);
  });
});
