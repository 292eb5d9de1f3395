import { describe, expect, it } from 'vitest';
import { fixedByCaption, labelsOf } from '../datasets/postcards/labels.ts';
import { postcard } from '../datasets/postcards/postcards.ts';
import { fidelity } from './fidelity.ts';

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

  it('refuses lists of different lengths', () => {
    expect(() => fidelity(records, [])).toThrow(/do not match/);
  });
});
