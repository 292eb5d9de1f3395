import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatJson } from './format-json.ts';
import { type JsonObject, parseJsonObject } from './json.ts';
import { spelledLike } from './number-spelling.ts';

const format = (value: JsonObject, floats: string[] = []) =>
  new TextDecoder().decode(formatJson(value, { floats: new Set(floats) }));
const parse = (text: string) => parseJsonObject(text, 'a.json');

/** As Python writes them. */
const PYTHON = `{
  "zero": 0.0,
  "one": 1.0,
  "integer": 1,
  "small": 1e-05,
  "large": 1000000000000000019884624838656,
  "negative": -0.0,
  "lowest": -Infinity,
  "list": [
    1.0,
    2,
    3e-06,
    NaN
  ],
  "inner": {
    "factor": 1.0,
    "lists": [
      [
        4.0
      ]
    ]
  }
}
`;

describe('JSON that is written', () => {
  it('is what JSON.stringify writes', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        expect(format(value)).toBe(`${JSON.stringify(value, null, 2)}\n`);
      }),
    );
    expect(format({ absent: undefined, list: [undefined], empty: [], none: {} })).toBe(
      '{\n  "list": [\n    null\n  ],\n  "empty": [],\n  "none": {}\n}\n',
    );
  });

  it('has numbers as they were spelled where they were read', () => {
    expect(format(parse(PYTHON))).toBe(PYTHON);
  });

  it('has them in a copy, but for what is changed there', () => {
    const original = parse('{"a": 1.0, "b": 2.0, "c": 3.0}');
    const copy = spelledLike({ ...original, b: 4, d: 5 }, original);
    expect(format(copy)).toBe('{\n  "a": 1.0,\n  "b": 4,\n  "c": 3.0,\n  "d": 5\n}\n');
  });

  it('has them in lists as long as a schedule, and holds no more of longer ones', () => {
    const list = (length: number) => `{"betas": [${new Array(length).fill('1.0').join(', ')}]}`;
    const spelled = (length: number) => format(parse(list(length))).match(/1\.0/g)?.length;
    expect(spelled(1000)).toBe(1000);
    expect(spelled(100_000)).toBe(4096);
  });

  it('spells the last of keys that are repeated', () => {
    expect(format(parse('{"a": 1.0, "a": 1}'))).toBe('{\n  "a": 1\n}\n');
  });

  it('has floats where they are expected, at any depth and in lists', () => {
    const value = { eps: 1, count: 1, betas: [0, 0.5], inner: { eps: -2, none: null }, small: 1e-8 };
    const text = format({ ...value, large: { eps: 1e21 } }, ['eps', 'betas', 'small']);
    expect(text.replaceAll(/\s/g, '')).toBe(
      '{"eps":1.0,"count":1,"betas":[0.0,0.5],"inner":{"eps":-2.0,"none":null},"small":1e-8,"large":{"eps":1e+21}}',
    );
  });
});
