import fc from 'fast-check';
import { expect, it } from 'vitest';
import { escapePrompt, promptSyntax, withoutNetworks, withoutWeights } from './prompt-syntax.ts';

it.each([
  ['a fox <lora:style:0.8> in the snow', ['<lora:style:0.8>']],
  ['a <hypernet:anime:1> fox', ['<hypernet:anime:1>']],
  ['a (red:1.2) fox', ['(red:1.2)']],
  ['a ((red)) fox', ['((red))']],
  ['a [red] fox', ['[red]']],
  ['[cat:dog:0.5], (very:-0.4)', ['(very:-0.4)', '[cat:dog:0.5]']],
  ['a fox BREAK a hen', ['BREAK']],
  ['a fox AND a hen', ['AND']],
  ['mona \\(character\\)', ['\\(']],
])('finds instructions in %j', (prompt, found) => {
  expect(promptSyntax(prompt)).toEqual(found);
});

it.each([
  'a fox (the animal) in the snow, at 4:30, <3',
  'SALT AND PEPPER',
  'break and band, BREAKFAST, 100% : a:b',
])('finds none in %j', (prompt) => {
  expect(promptSyntax(prompt)).toEqual([]);
});

it('writes prompts so that they stay words', () => {
  expect(escapePrompt('a (red:1.2) [fox] <lora:x:1> BREAK AND \\ BREAKFAST BAND')).toBe(
    'a \\(red:1.2\\) \\[fox\\] <lora\\:x:1> B\\REAK A\\ND \\\\ BREAKFAST BAND',
  );
  const pieces = [
    '(',
    ')',
    '[',
    ']',
    '\\',
    ':',
    '1.2',
    'AND',
    'BREAK',
    '<lora:x:1>',
    ' ',
    'a',
    '|',
    '<',
    '>',
  ];
  const prompts = fc.array(fc.constantFrom(...pieces)).map((parts) => parts.join(''));
  fc.assert(
    fc.property(prompts, (prompt) => {
      const escaped = escapePrompt(prompt);
      expect(withoutNetworks(escaped)).toEqual({ prompt: escaped, networks: [] });
      expect(escaped).not.toMatch(/\bAND\b|\bBREAK\b/);
      expect(withoutWeights(escaped, { brackets: true })).toEqual({ prompt, weighted: false });
    }),
    { numRuns: 500 },
  );
});

it('takes networks out', () => {
  expect(withoutNetworks('a fox <lora:style:0.8> <lora:other> <lyco:z:unet=0.5:te=0.2>')).toEqual({
    prompt: 'a fox',
    networks: [
      { kind: 'lora', name: 'style', strength: 0.8 },
      { kind: 'lora', name: 'other', strength: 1 },
      { kind: 'lyco', name: 'z', strength: 0.5 },
    ],
  });
  expect(withoutNetworks(' a fox ')).toEqual({ prompt: ' a fox ', networks: [] });
});

it.each([
  ['a (red:1.2) fox', 'a red fox', true],
  ['a ((very) red) [dull] fox', 'a very red dull fox', true],
  ['a \\(red\\) fox: \\[x\\]', 'a (red) fox: [x]', false],
  ['one) two] at 4:30', 'one) two] at 4:30', false],
  ['a (red fox', 'a red fox', true],
  ['a (red: 1.05 ) fox', 'a red fox', true],
  ['a [cat:dog:0.5] (red:1.2)', 'a [cat:dog:0.5] (red:1.2)', false],
  ['[cat|dog]', '[cat|dog]', false],
])('brings %j to its words', (prompt, words, weighted) => {
  expect(withoutWeights(prompt, { brackets: true })).toEqual({ prompt: words, weighted });
});

it('leaves square brackets to those who know none', () => {
  expect(withoutWeights('a [red] (big:1.1) fox \\(x\\) c:\\d', { brackets: false })).toEqual({
    prompt: 'a [red] big fox (x) c:\\d',
    weighted: true,
  });
});
