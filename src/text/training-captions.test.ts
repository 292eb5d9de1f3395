import { describe, expect, it } from 'vitest';
import { postcard } from '../datasets/postcards/postcards.ts';
import { collectCaptions, parseTrainingCaptions, warnOfUnknownWords } from './training-captions.ts';

const captions = Array.from({ length: 5000 }, (_, i) => postcard(i, { split: 'train' }).caption);
const known = collectCaptions(captions);

/** What is said of a prompt. */
function warning(text: string, of = known): string | undefined {
  const heard: string[] = [];
  warnOfUnknownWords(of, [text, ''], (message) => heard.push(message));
  expect(heard.length).toBeLessThan(2);
  for (const message of heard) expect(message.length).toBeLessThan(500);
  return heard[0];
}

describe('the captions of a training', () => {
  it('give their words, the most frequent first, and some of themselves', () => {
    expect(collectCaptions(['A cat.', 'a dog, a Cat', ' '])).toEqual({
      words: ['a', 'cat', 'dog'],
      complete: true,
      examples: ['A cat.', 'a dog, a Cat'],
    });
    expect(known.words[0]).toBe('a');
    expect(known.words).toContain('lighthouse');
    expect(known.examples).toEqual(captions.slice(0, 8));
  });

  it('are joined with those of the training before', () => {
    const joined = collectCaptions(['a cat'], { words: ['dog', 'a'], complete: true, examples: ['a dog'] });
    expect(joined).toEqual({ words: ['a', 'cat', 'dog'], complete: true, examples: ['a cat', 'a dog'] });
  });

  it('are read back as they were written', () => {
    expect(parseTrainingCaptions(JSON.stringify(known), 'x')).toEqual(known);
    for (const text of ['{}', '{"words": ["a"], "complete": true, "examples": [1]}', '{"words": "a"}']) {
      expect(() => parseTrainingCaptions(text, 'model/training_captions.json')).toThrow(
        /^model\/training_captions\.json holds .*; expected words and examples/,
      );
    }
  });
});

describe('unknown words', () => {
  it('are named, with the nearest word that there is', () => {
    expect(warning('a fox by the sea')).toMatch(
      /^the model has never read "fox": what that draws is chance\. It has read \d+ words, in captions such as "/,
    );
    expect(warning('A Lighthuose in the snow')).toContain(
      '"lighthuose" (the nearest that it has read is "lighthouse")',
    );
    expect(warning('one two three four five six seven eight nine ten eleven')).toMatch(/ and \d more: /);
  });

  it('are none in a caption, whatever its letters and marks', () => {
    for (const caption of captions.slice(0, 100)) expect(warning(caption.toUpperCase())).toBeUndefined();
    expect(warning('')).toBeUndefined();
  });

  it('are not known where the words were too many to keep', () => {
    const many = collectCaptions(
      Array.from({ length: 2001 }, (_, i) => `w${'abcdefghij'[i % 10]}${'q'.repeat(i)}`),
    );
    expect(many.words).toHaveLength(2000);
    expect(many.complete).toBe(false);
    expect(collectCaptions(['a'], many).complete).toBe(false);
    expect(warning('a fox', many)).toBeUndefined();
  });
});
