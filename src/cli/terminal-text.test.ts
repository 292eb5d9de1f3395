import fc from 'fast-check';
import { expect, it } from 'vitest';
import { jsonLine, shownLine, shownText } from './terminal-text.ts';

it('shows what a terminal would obey', () => {
  expect(shownText('\x1b]0;owned\x07 \x9b31m\x7f\b\rnew')).toBe(
    '\\x1b]0;owned\\x07 \\x9b31m\\x7f\\x08\\x0dnew',
  );
  expect(shownText('safe \u202egpj.exe\u2069')).toBe('safe \\u202egpj.exe\\u2069');
  expect(shownText('\ud800')).toBe('\\ud800');
});

it('leaves texts of every script, and lines, as they are', () => {
  const text = 'café, żółw\n\t雪の中の城 🏰 👩‍🚀 שלום';
  expect(shownText(text)).toBe(text);
  expect(shownText('one\r\ntwo')).toBe('one\ntwo');
  expect(shownLine('one\r\ntwo\n')).toBe('one\\ntwo\\n');
});

it('writes JSON that means the same and that a terminal does not obey', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      const line = jsonLine({ text });
      expect(JSON.parse(line)).toEqual({ text });
      expect(shownLine(line)).toBe(line);
    }),
  );
  expect(jsonLine('\x1b\x9b\u202e')).toBe('"\\u001b\\u009b\\u202e"');
});
