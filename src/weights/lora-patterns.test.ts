import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { InputError } from '../errors.ts';
import { patternsOfLayers } from './lora-patterns.ts';

/** By peft's `get_pattern_key`: for every layer the index of the pattern, −1 for none. */
interface Found {
  readonly layers: readonly string[];
  readonly cases: readonly { readonly patterns: readonly string[]; readonly fitting: readonly number[] }[];
}
const fixture = new URL('../../tests/fixtures/lora-layouts/patterns.json', import.meta.url);
const { layers, cases } = JSON.parse(readFileSync(fixture, 'utf8')) as Found;

describe('the pattern that holds for a layer', () => {
  it.each(cases)('is the one that peft finds: $patterns', ({ patterns, fitting }) => {
    const found = patternsOfLayers(patterns, layers, 'a');
    expect(layers.map((layer) => found.get(layer))).toEqual(fitting.map((index) => patterns[index]));
  });

  it.each([
    ['(?!x)to_q', /lookahead|syntax/i],
    ['(?<=attn1\\.)to_q', /neither look-around/],
    ['(to_q)\\1', /escape/],
    ['a++', /repetition/],
    ['to_q{,3}', /\{,3\}; write \{0,3\}/],
    ['*to_q', /repetition/],
    ['(to_q', /missing closing/],
    // Would end the parenthesis that peft puts around it.
    [')|(', /unexpected \)/],
    ['a{1001}', /repeat/],
    ['((a{100}){100}){100}', /repeat/],
    ['x'.repeat(1001), /1001 characters; expected at most 1000/],
  ])('is refused where it is %s', (pattern, message) => {
    const find = () => patternsOfLayers([pattern], layers, 'a.json, alpha_pattern');
    expect(find).toThrow(InputError);
    expect(find).toThrow(message);
    expect(find).toThrow(/^a\.json, alpha_pattern/);
  });

  it('is found in time that does not grow beyond measure', () => {
    const names = Array.from({ length: 2000 }, (_, i) => `blocks.${i}.${'a'.repeat(60)}`);
    // What backtracks would outlast the time limit of tests.
    for (const pattern of ['(a+)+b', '(a|a)*b', '(.*a){12}b', '(a|aa)+$b', '([a-z]+)*[0-9]']) {
      patternsOfLayers([pattern], names, 'a');
    }
    const literal = names.map((name) => `^${name}`);
    expect(patternsOfLayers(literal, names, 'a').size).toBe(names.length);
  });

  it('is not looked for where that would take too long', () => {
    const names = Array.from({ length: 2000 }, (_, i) => `blocks.${i}.${'a'.repeat(60)}`);
    const many = (pattern: string) => Array.from({ length: 2000 }, (_, i) => `${pattern}${i}`);
    expect(() => patternsOfLayers(many('.*(a|b).*'), names, 'a')).toThrow(/2000 patterns for 2000 layers/);
    expect(() => patternsOfLayers(['(.{1000}|a{1000}){1}'.repeat(40)], names, 'a')).toThrow(/too long/);
  });
});
