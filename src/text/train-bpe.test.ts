import { describe, expect, it } from 'vitest';
import { postcards } from '../datasets/postcards/render.ts';
import { tokenizerFiles, tokenizerFromFiles, trainBytePairEncoding, trainTokenizer } from './train-bpe.ts';

const captions = [
  'A postcard of a red tent in the desert, with a bright sun',
  'two pine trees and a red-roofed cottage on green hills at night',
  "the sea at sunset, 3 birds in the sky; it's windy",
  'a café by the sea',
];

describe('a learnt vocabulary', () => {
  it('begins with bos, eos and the bytes, and makes every caption word one token', async () => {
    const trained = trainBytePairEncoding(captions, 1000);
    const tokenizer = await tokenizerFromFiles(tokenizerFiles(trained, 44));
    expect([tokenizer.bos, tokenizer.eos, tokenizer.pad, tokenizer.maxLength]).toEqual([0, 1, 1, 44]);
    expect(tokenizer.vocabularySize).toBe(trained.vocabulary.size);
    expect(trained.vocabulary.size).toBeLessThan(1000);
    expect(tokenizer.encode('A red cottage, by the sea at sunset')).toHaveLength(2 + 9);
    expect(tokenizer.encode("it's a café")).toHaveLength(2 + 4);
    // A word that was never seen is spelt out.
    expect(tokenizer.encode('zz').length).toBeGreaterThan(3);
  });

  it('does not depend on the order of the captions', () => {
    const backwards = trainBytePairEncoding([...captions].reverse(), 600);
    const forwards = trainBytePairEncoding(captions, 600);
    expect(tokenizerFiles(backwards, 44)).toEqual(tokenizerFiles(forwards, 44));
  });

  it('stops at the size that is asked for', () => {
    expect(trainBytePairEncoding(captions, 530).vocabulary.size).toBe(530);
  });

  it('joins the most frequent pair first, and of equals that with the smaller ids', () => {
    // "ab" occurs three times; then "c ab", "ab d" and "d x</w>" twice each, and single bytes have the smallest ids.
    const { merges } = trainBytePairEncoding(['cabdx cabdx abx'], 1000);
    expect(merges.slice(0, 3)).toEqual([
      ['a', 'b'],
      ['c', 'ab'],
      ['d', 'x</w>'],
    ]);
  });

  it('is nothing but bytes without captions', () => {
    expect(trainBytePairEncoding([], 1000).vocabulary.size).toBe(514);
  });

  it('makes every word of a closed vocabulary one token, and can still write any other', async () => {
    const cards = postcards(
      Array.from({ length: 2000 }, (_, i) => i),
      { split: 'train' },
    );
    const texts = cards.map(({ caption }) => caption);
    const tokenizer = await tokenizerFromFiles(trainTokenizer(texts, 1000, 44));
    const words = new Set(texts.flatMap((caption) => caption.match(/\p{L}+/gu)!));
    for (const word of words) expect(tokenizer.encode(word), word).toHaveLength(3);
    expect(tokenizer.encode('Žluťoučký').slice(1, -1)).not.toContain(tokenizer.eos);
    expect(tokenizer.encode('zebra').slice(1, -1)).not.toContain(tokenizer.eos);
    expect(tokenizer.vocabularySize).toBeLessThan(1000);
  });
});
