import { describe, expect, it } from 'vitest';
import { postcards } from '../datasets/postcards/render.ts';
import { tokenizerFromFiles, trainTokenizer } from './tokenizer.ts';

describe('trainTokenizer', () => {
  it('joins the most frequent pairs first, words whole when there is room', async () => {
    const files = trainTokenizer(['low low low lower newest newest'], 514 + 4, 8);
    expect(files['merges.txt']!.split('\n').slice(1, 5)).toEqual(['l o', 'lo w</w>', 'w e', 'e we']);
    const tokenizer = await tokenizerFromFiles(files);
    expect(tokenizer.encode('low')).toHaveLength(3);
  });

  it('makes every word of a closed vocabulary one token, and can still write others', async () => {
    const captions = postcards(
      Array.from({ length: 2000 }, (_, i) => i),
      { split: 'train' },
    ).map(({ caption }) => caption);
    const tokenizer = await tokenizerFromFiles(trainTokenizer(captions, 1000, 44));
    const words = new Set(captions.flatMap((caption) => caption.match(/\p{L}+/gu)!));
    for (const word of words) expect(tokenizer.encode(word), word).toHaveLength(3);
    expect(tokenizer.encode('Žluťoučký').includes(tokenizer.eos, 1)).toBe(true);
    expect(tokenizer.encode('zebra').slice(1, -1)).not.toContain(tokenizer.eos);
    expect(tokenizer.vocabularySize).toBeLessThan(1000);
  });
});
