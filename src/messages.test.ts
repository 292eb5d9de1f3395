import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError, UsageError } from './errors.ts';
import { brief, listed, shortened, shown } from './messages.ts';

describe('a shown value', () => {
  it.each([
    [[1, 2, 3], '[1,2,3]'],
    ['text\u0007', '"text\\u0007"'],
    [{ a: [null, true], 'b c': { d: 'e' } }, '{"a":[null,true],"b c":{"d":"e"}}'],
    [undefined, 'absent'],
    [null, 'null'],
    [Number.POSITIVE_INFINITY, 'Infinity'],
    [Number.NaN, 'NaN'],
    [1e308, '1e+308'],
    [12n, '12'],
    [() => 1, 'a function'],
    [Symbol('s'), 'a symbol'],
    [[[[[]]]], '[[[[…]]]]'],
    [{}, '{}'],
  ])('%# is shown as it is in JSON, or as a word', (value, text) => {
    expect(shown(value)).toBe(text);
  });

  it('is short, whatever it is', () => {
    const cyclic: unknown[] = [];
    cyclic.push(cyclic, { cyclic });
    const huge = [
      'x'.repeat(1e6),
      '\u0000'.repeat(1e6),
      '😀'.repeat(1e6),
      new Array(1e6).fill(1),
      new Array(1e6),
      { ['k'.repeat(1e6)]: 1 },
      Object.fromEntries(Array.from({ length: 1e5 }, (_, i) => [`key ${i}`, i])),
      cyclic,
    ];
    for (const value of huge) {
      expect(shown(value).length).toBeLessThanOrEqual(80);
      expect(shown(value)).not.toMatch(/\p{Surrogate}/u);
    }
    fc.assert(fc.property(fc.anything(), (value) => shown(value).length <= 80));
  });

  it('is JSON where it is short enough', () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 2 }), (value) => {
        const text = JSON.stringify(value);
        if (text.length <= 80) expect(shown(value)).toBe(text);
      }),
    );
  });
});

it('names are listed up to a few', () => {
  expect(listed([])).toBe('none');
  expect(listed(['a', 'b'])).toBe('a, b');
  expect(listed(['a', 'b', 'c', 'd', 'e', 'f', 'g'])).toBe('a, b, c, d, e and 2 more');
  expect(listed(['a', 'b'], 1)).toBe('a and 1 more');
  expect(listed(new Array(1e5).fill('n'.repeat(1e5))).length).toBeLessThan(450);
  expect(brief('n'.repeat(100))).toBe(`${'n'.repeat(79)}…`);
});

it('messages are below 500 characters, and keep their beginning and their end', () => {
  expect(shortened('a short one')).toBe('a short one');
  for (const ThisError of [InputError, UsageError]) {
    const { message } = new ThisError(`unet/config.json: ${'x'.repeat(1e6)}; use another model`);
    expect(message.length).toBeLessThan(500);
    expect(message).toMatch(/^unet\/config\.json: x+ … x+; use another model$/);
  }
});
