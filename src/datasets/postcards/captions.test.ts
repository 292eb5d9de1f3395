import { expect, describe as group, it } from 'vitest';
import { sampleAttributes } from './attributes.ts';
import { describe, MAX_CAPTION_WORDS } from './captions.ts';
import { fixedByCaption, labelsOf, toldByCaption } from './labels.ts';
import { postcard } from './postcards.ts';
import { createRandom } from './random.ts';

const attributes = Array.from({ length: 6000 }, (_, i) => sampleAttributes(createRandom(1, i)));
const captionsAt = (positionProbability?: number) =>
  attributes.map((each, i) => describe(each, createRandom(2, i), { positionProbability }));

group('captions', () => {
  it('have 4 to 35 words, one space apart, and seldom repeat', () => {
    const captions = captionsAt().map(({ caption }) => caption);
    const lengths = captions.map((caption) => caption.split(' ').length);
    expect(Math.min(...lengths)).toBe(4);
    expect(Math.max(...lengths)).toBeLessThanOrEqual(MAX_CAPTION_WORDS);
    const mean = lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
    expect(mean).toBeGreaterThan(16);
    expect(mean).toBeLessThan(20);
    expect(new Set(captions).size).toBeGreaterThan(0.95 * captions.length);
    for (const caption of captions) {
      expect(caption).toMatch(/^[a-z-]+(,? [a-z-]+)*$/);
      expect(caption).not.toMatch(/none|undefined|null/);
      expect(caption).not.toMatch(/\b(\w+) \1\b/);
      expect(caption).not.toMatch(/\ban [^aeiou]|\ba [aeio]/);
    }
  });

  it('fit 44 tokens when every word and every mark is one', () => {
    for (const { caption } of captionsAt(1)) {
      expect(caption.match(/[a-z]+|[-,]/g)!.length + 2).toBeLessThanOrEqual(44);
    }
  });

  it('name the position as often as asked, and change nothing else by it', () => {
    const named = (probability: number) => captionsAt(probability).filter((c) => c.named.position).length;
    const withObject = attributes.filter(({ object }) => object !== 'none').length;
    expect(named(0)).toBe(0);
    expect(named(1)).toBe(withObject);
    expect(Math.abs(named(0.8) / withObject - 0.8)).toBeLessThan(0.025);
    const [never, always] = [captionsAt(0), captionsAt(1)];
    const strip = (caption: string) =>
      caption
        .replace(/^a (postcard|picture|small painting) of /, '')
        .replace(/ (on the left|in the middle|on the right)/, '');
    for (const [i, { caption }] of always.entries()) expect(strip(caption)).toBe(strip(never[i]!.caption));
  });

  it('keep to the four orders', () => {
    const card = {
      sky: 'night',
      body: 'crescent',
      side: 'left',
      terrain: 'hills',
      object: 'tent',
      color: 'red',
      position: 'left',
      tree: 'pine',
      count: 2,
      extra: 'balloon',
      balloonColor: 'blue',
    } as const;
    const captions = Array.from({ length: 400 }, (_, i) => describe(card, createRandom(i)).caption);
    const begins = (words: RegExp) =>
      captions.filter((caption) => words.test(caption)).length / captions.length;
    const prefix = '^(?:a postcard of |a picture of |a small painting of )?';
    const object = 'a red tent(?: on the left)?';
    expect(begins(new RegExp(`${prefix}${object} (?:on|in|in a|in the) green`))).toBeCloseTo(1 / 2, 1);
    expect(begins(new RegExp(`${prefix}(?:green hills|a green meadow|rolling)`))).toBeCloseTo(1 / 4, 1);
    expect(begins(new RegExp(`${prefix}${object}, two pine trees`))).toBeCloseTo(1 / 4, 1);
    expect(begins(/^a (postcard|picture|small painting) of/)).toBeCloseTo(0.15, 1);
  });
});

it('tells nothing that two postcards with the same caption disagree on, and all that it settles', () => {
  const told = new Map<string, string>();
  const again: { caption: string; before: string; now: string }[] = [];
  for (let i = 0; i < 20_000; i++) {
    const { caption, record } = postcard(i, { split: 'train' });
    const labels = labelsOf(record);
    const heads = toldByCaption(record);
    if (!fixedByCaption(record).every((head) => heads.includes(head))) expect(heads).toBe(caption);
    const now = heads.map((head) => `${head} ${labels[head]}`).join();
    const before = told.get(caption);
    if (before !== undefined) again.push({ caption, before, now });
    told.set(caption, now);
  }
  expect(again.length).toBeGreaterThan(100);
  expect(again.filter(({ before, now }) => before !== now)).toEqual([]);
});
