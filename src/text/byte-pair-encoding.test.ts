import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { BytePairEncoding, type BytePairVocabulary } from './byte-pair-encoding.ts';
import { symbolsOf } from './pre-tokenizer.ts';

/** The definition, word for word: look at all pairs, join the first of the lowest rank, and begin anew. */
function encodedByDefinition(
  { vocabulary, merges }: BytePairVocabulary,
  unknown: number,
  word: string,
): number[] {
  const ranks = new Map(merges.map(([left, right], rank) => [`${left} ${right}`, rank]));
  const tokens = symbolsOf(word);
  while (true) {
    let best = -1;
    let lowest = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < tokens.length; i++) {
      const known = vocabulary.has(tokens[i]!) && vocabulary.has(tokens[i + 1]!);
      const rank = known ? ranks.get(`${tokens[i]} ${tokens[i + 1]}`) : undefined;
      if (rank !== undefined && rank < lowest) [best, lowest] = [i, rank];
    }
    if (best === -1) return tokens.map((token) => vocabulary.get(token) ?? unknown);
    tokens.splice(best, 2, tokens[best]! + tokens[best + 1]!);
  }
}

/** Of three letters and their forms at a word's end, with merges of what is there, in any order, some of them twice. */
const vocabularies = fc
  .array(fc.tuple(fc.nat(), fc.nat(), fc.nat()), { maxLength: 25 })
  .map((choices): BytePairVocabulary => {
    // "c" is in no vocabulary, so that there are unknown symbols.
    const tokens = ['a', 'b', 'a</w>', 'b</w>'];
    const merges: [string, string][] = [];
    for (const [left, right, place] of choices) {
      const begins = tokens.filter((token) => !token.endsWith('</w>'));
      const pair: [string, string] = [begins[left % begins.length]!, tokens[right % tokens.length]!];
      if (!tokens.includes(pair.join(''))) tokens.push(pair.join(''));
      merges.splice(place % (merges.length + 1), 0, pair);
    }
    return { vocabulary: new Map(tokens.map((token, id) => [token, id])), merges };
  });

describe('byte pair encoding', () => {
  it('gives the ids of its definition, for any vocabulary and any word', () => {
    const words = fc.array(fc.constantFrom('a', 'b', 'ab', 'aab', 'c'), { maxLength: 40 });
    fc.assert(
      fc.property(vocabularies, fc.array(words, { maxLength: 5 }), (vocabulary, list) => {
        const encoding = new BytePairEncoding(vocabulary, 999);
        for (const letters of list) {
          const word = letters.join('');
          expect(encoding.encode(word)).toEqual(encodedByDefinition(vocabulary, 999, word));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it("gives them for the embedded model's vocabulary, in any script", () => {
    const folder = new URL('../../models/postcards/tokenizer/', import.meta.url);
    const json = JSON.parse(readFileSync(new URL('vocab.json', folder), 'utf8')) as Record<string, number>;
    const lines = readFileSync(new URL('merges.txt', folder), 'utf8').trim().split('\n').slice(1);
    const merges = lines.map((line) => line.split(' ') as [string, string]);
    const vocabulary = { vocabulary: new Map(Object.entries(json)), merges };
    const encoding = new BytePairEncoding(vocabulary, 0);
    const pieces = fc.constantFrom('the', 'light', 'house', 'sun', 'set', 'in', 's', 'red', 'é', '山', '🦊');
    const word = fc.oneof(
      fc.string({ maxLength: 30 }),
      fc.array(pieces, { maxLength: 20 }).map((all) => all.join('')),
    );
    fc.assert(
      fc.property(word, (text) => {
        expect(encoding.encode(text)).toEqual(encodedByDefinition(vocabulary, 0, text));
      }),
      { numRuns: 2000 },
    );
  });

  it('takes time in proportion to a word', () => {
    const vocabulary = {
      vocabulary: new Map(['t', 'h', 'e', 'e</w>', 'th', 'the', 'the</w>'].map((token, id) => [token, id])),
      merges: [
        ['t', 'h'],
        ['th', 'e'],
        ['th', 'e</w>'],
      ] as const,
    };
    const encoding = new BytePairEncoding(vocabulary, 0);
    // Some tenths of a second; by the definition, an hour, which the time limit of tests would end.
    const ids = encoding.encode('the'.repeat(200_000));
    expect(ids).toEqual([...new Array(199_999).fill(5), 6]);
  });
});
