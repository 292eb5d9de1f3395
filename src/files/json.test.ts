import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { parseJson, parseJsonObject } from './json.ts';

function outcome(read: () => unknown): unknown {
  try {
    return { value: read() };
  } catch (error) {
    if (error instanceof InputError || error instanceof SyntaxError) return 'refused';
    throw error;
  }
}

function failure(text: string): Error {
  try {
    parseJson(text, 'a.json');
  } catch (error) {
    return error as Error;
  }
  throw new Error('it should have failed');
}

describe('JSON', () => {
  it('is read as JSON.parse reads it', () => {
    fc.assert(
      fc.property(fc.json({ noUnicodeString: false }), fc.nat(3), (text, indent) => {
        const pretty = JSON.stringify(JSON.parse(text), null, indent);
        for (const each of [text, pretty]) expect(parseJson(each, 'a.json')).toEqual(JSON.parse(each));
      }),
    );
  });

  it('is refused where JSON.parse refuses it', () => {
    const fragment = fc.constantFrom(
      ...[
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        '\\u00e9',
        '\\u12',
        '\\n',
        '\\x',
        '-',
        '0',
        '01',
        '1.',
        '.5',
      ],
      ...[
        '1e5',
        '1E+',
        '-0',
        'true',
        'nul',
        'null',
        ' ',
        '\n',
        '\t',
        '\f',
        '\u00a0',
        '\u0000',
        '\ud800',
        'a',
        '"a"',
      ],
      ...['"a":', '{}', '[]', '[1,2]', '"__proto__":{"a":1}', "'", '/*'],
    );
    const text = fc.array(fragment, { maxLength: 8 }).map((parts) => parts.join(''));
    fc.assert(
      fc.property(text, (each) => {
        expect(outcome(() => parseJson(each, 'a.json'))).toEqual(outcome(() => JSON.parse(each)));
      }),
      { numRuns: 20_000 },
    );
  });

  it('may hold what Python writes for numbers that are none', () => {
    const text = '{"a": -Infinity, "b": [NaN, Infinity], "c": "NaN, -Infinity"}';
    expect(parseJson(text, 'a.json')).toEqual({
      a: Number.NEGATIVE_INFINITY,
      b: [Number.NaN, Number.POSITIVE_INFINITY],
      c: 'NaN, -Infinity',
    });
    for (const word of ['-NaN', 'nan', 'Inf', '+Infinity', 'Infinity5']) {
      expect(outcome(() => parseJson(word, 'a.json'))).toBe('refused');
    }
  });

  it('may begin with a byte order mark', () => {
    expect(parseJson('\ufeff{"a": 1}', 'a.json')).toEqual({ a: 1 });
    expect(failure('{\ufeff}').message).toMatch(/expected a key in double quotes/);
  });

  it('means the last of keys that are repeated', () => {
    expect(parseJson('{"a": 1, "b": 2, "a": 3}', 'a.json')).toEqual({ a: 3, b: 2 });
  });

  it('changes no prototype', () => {
    const value = parseJsonObject(
      '{"__proto__": {"polluted": true}, "constructor": {"prototype": 1}}',
      'a.json',
    );
    expect(Object.getPrototypeOf(value)).toBe(Object.prototype);
    expect(Object.keys(value)).toEqual(['__proto__', 'constructor']);
    expect((value as { polluted?: boolean }).polluted).toBeUndefined();
    expect(({} as { polluted?: boolean }).polluted).toBeUndefined();
  });

  it.each([
    ['', 'column 1: expected a value, found the end of the file'],
    ['{"a": 1', 'column 8: expected "," or "}", found the end of the file'],
    ['{\n  "a": 1,\n}', 'line 3, column 1: expected a key in double quotes, found "}"'],
    ['{"a" 1}', 'column 6: expected ":", found "1}"'],
    ['[1 2]', 'column 4: expected "," or "]", found "2]"'],
    ["{'a': 1}", 'column 2: expected a key in double quotes, found "\'a\': 1}"'],
    ['{"a": True}', 'column 7: expected a value, found "True}"'],
    ['"abc', 'column 5: expected the rest of a text and its closing quote, found the end of the file'],
    ['"a\\qb"', 'column 3: expected an escape such as \\n, found "\\\\qb\\""'],
    ['{} {}', 'column 4: expected the end, found "{}"'],
  ])('%j is refused with the place and what was expected', (text, message) => {
    expect(failure(text)).toBeInstanceOf(InputError);
    expect(failure(text).message).toBe(`a.json is not valid JSON: ${message}`);
  });

  it.each([
    ['[', ']'],
    ['{"a":', '}'],
  ])('is refused when it is nested without end (%s)', (open, close) => {
    const nested = (depth: number) => `${open.repeat(depth)}${open === '[' ? '' : '1'}${close.repeat(depth)}`;
    expect(() => parseJson(nested(64), 'a.json')).not.toThrow();
    expect(failure(nested(65)).message).toMatch(/^a\.json: .*column.* more than 64 deep in each other$/);
    expect(failure(nested(1_000_000)).message).toMatch(/more than 64 deep/);
    expect(failure(open.repeat(1_000_000)).message).toMatch(/more than 64 deep/);
  });

  it('says what there is in place of an object, in few words', () => {
    for (const [text, found] of [
      ['[1]', 'a list'],
      ['null', 'null'],
      ['"text"', 'a text'],
      ['5', 'a number'],
      ['true', 'true'],
    ] as const) {
      expect(() => parseJsonObject(text, 'a.json')).toThrow(`a.json must hold a JSON object, found ${found}`);
    }
  });

  it('is refused in few words, however long the text', () => {
    for (const text of ['x'.repeat(1_000_000), `"${'x'.repeat(1_000_000)}`, `{"${'x'.repeat(1_000_000)}"}`]) {
      expect(failure(text).message.length).toBeLessThan(200);
    }
  });
});
