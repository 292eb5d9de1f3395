import { describe, expect, it } from 'vitest';
import { fixedByCaption, LABEL_HEADS, labelsOf, type PostcardRecord } from '../datasets/postcards/labels.ts';
import { postcard } from '../datasets/postcards/postcards.ts';
import { type Answers, fidelity } from './fidelity.ts';

const records = Array.from({ length: 50 }, (_, i) => postcard(i, { split: 'test' }).record);

describe('prompt fidelity', () => {
  it('is 1 for the right answers', () => {
    const score = fidelity(records, records.map(labelsOf));
    expect(score.attributes).toBe(1);
    expect(score.all).toBe(1);
    expect(score.byHead.sky).toBe(1);
  });

  it('counts one wrong answer once, and the picture as not all right', () => {
    const found = records.map(labelsOf);
    found[3] = { ...found[3]!, sky: (found[3]!.sky + 1) % 4 };
    const settled = records.reduce((sum, record) => sum + fixedByCaption(record).length, 0);
    const score = fidelity(records, found);
    expect(score.attributes).toBeCloseTo(1 - 1 / settled, 12);
    expect(score.all).toBeCloseTo(1 - 1 / records.length, 12);
    expect(score.byHead.sky).toBeCloseTo(1 - 1 / records.length, 12);
  });

  it('does not ask what a caption leaves open', () => {
    const index = records.findIndex((record) => !fixedByCaption(record).includes('pos'));
    const found = records.map(labelsOf);
    found[index] = { ...found[index]!, pos: found[index]!.pos + 1 };
    expect(fidelity(records, found).attributes).toBe(1);
  });

  it('counts pictures with something that nobody asked for, whether or not the caption settles it', () => {
    expect(fidelity(records, records.map(labelsOf)).uninvited).toBe(0);
    const share = (change: (record: PostcardRecord) => Partial<Answers> | undefined): number => {
      const found = records.map((record) => ({ ...labelsOf(record), ...change(record) }));
      return fidelity(records, found).uninvited * records.length;
    };
    const count = (which: (record: PostcardRecord) => boolean) => records.filter(which).length;
    const none = { tree: 0, count: 0, extra: 0, object: 0, body: 0 };
    expect(share(() => none)).toBe(0); // what is missing is wrong, but nobody is there uninvited

    const trees = (n: number) => ({ tree: LABEL_HEADS.tree.indexOf('pine'), count: n });
    expect(share(({ tree }) => (tree === 'none' ? trees(2) : undefined))).toBe(
      count(({ tree }) => tree === 'none'),
    );
    expect(share(({ tree }) => (tree === 'pine' ? trees(3) : undefined))).toBe(
      count((record) => record.tree === 'pine' && record.count < 3),
    );
    expect(share(({ tree }) => (tree === 'pine' ? trees(1) : undefined))).toBe(0);
    const birds = { extra: LABEL_HEADS.extra.indexOf('birds') };
    expect(share(() => birds)).toBe(count(({ extra }) => extra !== 'birds'));
    const crescent = { body: LABEL_HEADS.body.indexOf('crescent') };
    expect(share(() => crescent)).toBe(count(({ named, body }) => named.body && body !== 'crescent'));
  });

  it('refuses lists of different lengths', () => {
    expect(() => fidelity(records, [])).toThrow(/do not match/);
  });
});
