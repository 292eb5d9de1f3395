import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { UsageError } from '../../errors.ts';
import {
  HELD_OUT,
  isHeldOut,
  OBJECTS,
  POSITIONS,
  SKIES,
  sampleAttributes,
  TERRAINS,
  TREES,
} from './attributes.ts';
import { answersOf, fixedByCaption, LABEL_HEAD_NAMES, LABEL_HEADS, labelsOf } from './labels.ts';
import { postcard, SPLITS, type Split } from './postcards.ts';
import { createRandom } from './random.ts';
import { postcards } from './render.ts';

const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => from + i);
const share = <T>(items: readonly T[], test: (item: T) => boolean): number =>
  items.filter(test).length / items.length;

describe('random streams', () => {
  it('are uniform, repeatable and do not resemble their neighbours', () => {
    const draw = (...key: number[]) => {
      const random = createRandom(...key);
      return range(1000).map(() => random.next());
    };
    expect(draw(1, 2, 3)).toEqual(draw(1, 2, 3));
    const streams = [draw(0), draw(1), draw(0, 0), draw(0, 1), draw(1, 0), draw(2 ** 32 - 1)];
    for (const [i, a] of streams.entries()) {
      expect(Math.abs(a.reduce((sum, x) => sum + x, 0) / a.length - 0.5)).toBeLessThan(0.035);
      for (const b of streams.slice(i + 1)) {
        const covariance = a.reduce((sum, x, k) => sum + (x - 0.5) * (b[k]! - 0.5), 0) / a.length;
        expect(Math.abs(covariance * 12)).toBeLessThan(0.12);
      }
    }
  });

  it('weigh and shuffle', () => {
    const random = createRandom(5);
    const drawn = range(4000).map(() =>
      random.weighted([
        ['a', 3],
        ['never', 0],
        ['b', 1],
      ] as const),
    );
    expect(share(drawn, (item) => item === 'a')).toBeCloseTo(0.75, 1);
    expect(drawn).not.toContain('never');
    const firsts = range(3000).map(() => random.shuffle(['a', 'b', 'c'])[0]);
    for (const item of ['a', 'b', 'c'])
      expect(share(firsts, (first) => first === item)).toBeCloseTo(1 / 3, 1);
  });
});

describe('the data set', () => {
  it('is the same for ever: models and their latents depend on it', () => {
    const digest = (split: Split) => {
      const cards = postcards(range(200), { split }).map(({ record, caption }) => ({ record, caption }));
      return createHash('sha256').update(JSON.stringify(cards)).digest('hex').slice(0, 16);
    };
    expect(SPLITS.map(digest)).toEqual(['17ac9b4c0ba828f6', '9d1ea8ffaf6888c4', '09326a6f4882d0db']);
  });

  it('gives any postcard without the others, and other ones for another seed or split', () => {
    const options = { split: 'train' as const, seed: 3 };
    const { record, caption } = postcard(1234, options);
    const again = postcards(range(3, 1233), options)[1]!;
    expect({ record: again.record, caption: again.caption }).toEqual({ record, caption });
    const captions = (seed: number, split: Split) =>
      postcards(range(20), { split, seed }).map((card) => card.caption);
    expect(captions(3, 'train')).not.toEqual(captions(4, 'train'));
    expect(captions(3, 'train')).not.toEqual(captions(3, 'test'));
  });

  it('refuses what is no index, seed, size or probability', () => {
    for (const size of [63, 513, 64.5, Number.NaN]) {
      expect(() => postcard(0, { split: 'train', size })).toThrow(UsageError);
    }
    expect(() => postcard(-1, { split: 'train' })).toThrow(UsageError);
    expect(() => postcard(0.5, { split: 'train' })).toThrow(UsageError);
    expect(() => postcard(0, { split: 'train', seed: 2 ** 32 })).toThrow(UsageError);
    expect(() => postcard(0, { split: 'train', positionProbability: Number.NaN })).toThrow(UsageError);
  });

  it('holds seven combinations out of training', () => {
    const cards = (split: Split) => postcards(range(2000), { split }).map((card) => card.record);
    expect(cards('train').some(isHeldOut)).toBe(false);
    expect(cards('test').some(isHeldOut)).toBe(false);
    const heldOut = cards('heldout');
    expect(heldOut.every(isHeldOut)).toBe(true);
    for (const { name, attributes } of HELD_OUT) {
      const present = heldOut.some((record) =>
        Object.entries(attributes).every(([k, v]) => record[k as 'sky'] === v),
      );
      expect(present, name).toBe(true);
    }
    // Every part of them is common in training.
    const train = cards('train');
    for (const { attributes } of HELD_OUT) {
      for (const [key, value] of Object.entries(attributes)) {
        expect(share(train, (record) => record[key as 'sky'] === value)).toBeGreaterThan(0.03);
      }
    }
  });

  it('has the stated priors', () => {
    const drawn = range(5000).map((i) => sampleAttributes(createRandom(11, i)));
    const expectShare = (test: (a: (typeof drawn)[number]) => boolean, expected: number, among = drawn) =>
      expect(Math.abs(share(among, test) - expected)).toBeLessThanOrEqual(
        4 * Math.sqrt((expected * (1 - expected)) / among.length),
      );
    for (const sky of SKIES) expectShare((a) => a.sky === sky, 1 / 4);
    for (const terrain of TERRAINS) expectShare((a) => a.terrain === terrain, 1 / 6);
    const among = (test: (a: (typeof drawn)[number]) => boolean) => drawn.filter(test);
    expectShare(
      (a) => a.body === 'sun',
      2 / 3,
      among((a) => a.sky === 'day' || a.sky === 'sunset'),
    );
    expectShare(
      (a) => a.body === 'crescent',
      2 / 5,
      among((a) => a.sky === 'night'),
    );
    expectShare(
      (a) => a.body === 'none',
      1,
      among((a) => a.sky === 'overcast'),
    );
    expectShare(
      (a) => a.object === 'sailboat',
      5 / 9,
      among((a) => a.terrain === 'sea'),
    );
    expectShare(
      (a) => a.object === 'tent',
      3 / 8,
      among((a) => a.terrain === 'desert'),
    );
    expectShare(
      (a) => a.object === 'cottage',
      3 / 10.2,
      among((a) => a.terrain !== 'sea' && a.terrain !== 'desert'),
    );
    for (const position of POSITIONS)
      expectShare(
        (a) => a.position === position,
        1 / 3,
        among((a) => a.object !== 'none'),
      );
    expectShare(
      (a) => a.tree === 'round',
      1 / 2,
      among((a) => a.terrain === 'autumn'),
    );
    expectShare(
      (a) => a.tree === 'palm',
      1 / 2,
      among((a) => a.terrain === 'desert' || a.terrain === 'sea'),
    );
    for (const count of [1, 2, 3])
      expectShare(
        (a) => a.count === count,
        1 / 3,
        among((a) => a.tree !== 'none'),
      );
    expectShare(
      (a) => a.extra === 'rainbow',
      2 / 11,
      among((a) => a.sky === 'day' || a.sky === 'overcast'),
    );
    expectShare(
      (a) => a.extra === 'balloon',
      3 / 7,
      among((a) => a.sky === 'night'),
    );
    expect(Math.abs(share(drawn, isHeldOut) - 0.14)).toBeLessThan(0.02);
  });

  it('never contradicts itself', () => {
    for (const { record: r } of SPLITS.flatMap((split) => postcards(range(1000), { split }))) {
      expect(r.count > 0).toBe(r.tree !== 'none');
      expect(r.position !== 'none').toBe(r.object !== 'none');
      expect(r.color !== 'none').toBe(['cottage', 'tent', 'sailboat'].includes(r.object));
      expect(r.balloonColor !== 'none').toBe(r.extra === 'balloon');
      if (r.body !== 'none') expect(r.body === 'sun').toBe(r.sky === 'day' || r.sky === 'sunset');
      if (r.object === 'sailboat' || r.object === 'lighthouse') expect(r.terrain).toBe('sea');
      if (r.extra === 'rainbow') expect(['day', 'overcast']).toContain(r.sky);
      if (r.extra === 'birds') expect(r.sky).not.toBe('night');
    }
  });
});

describe('labels', () => {
  it('are classes of the schema, and every class occurs', () => {
    const seen = new Map(LABEL_HEAD_NAMES.map((head) => [head, new Set<number>()]));
    for (const { record } of postcards(range(3000), { split: 'train' })) {
      const labels = labelsOf(record);
      expect(Object.keys(labels)).toEqual(LABEL_HEAD_NAMES);
      for (const head of LABEL_HEAD_NAMES) {
        expect(LABEL_HEADS[head][labels[head]]).toBe(answersOf(record)[head]);
        seen.get(head)!.add(labels[head]);
      }
    }
    for (const head of LABEL_HEAD_NAMES) expect(seen.get(head)!.size, head).toBe(LABEL_HEADS[head].length);
    expect(LABEL_HEADS.object).toEqual(OBJECTS);
    expect(LABEL_HEADS.tree).toEqual(TREES);
  });

  it('are fixed by the caption exactly when it says them', () => {
    for (const { record, caption } of postcards(range(2000), { split: 'test' })) {
      const fixed = new Set(fixedByCaption(record));
      const says = (words: RegExp) => words.test(caption);
      expect(fixed.has('sky') && fixed.has('terrain') && fixed.has('object')).toBe(true);
      expect(fixed.has('pos')).toBe(says(/ on the (left|right)| in the middle/));
      expect(fixed.has('body')).toBe(says(/ sun\b| moon\b/));
      expect(fixed.has('tree')).toBe(says(/ trees?\b/));
      expect(fixed.has('count')).toBe(fixed.has('tree'));
      expect(fixed.has('extra')).toBe(says(/balloon|rainbow|birds/));
      expect(fixed.has('balloonColor')).toBe(says(/(red|yellow|blue|purple) hot-air balloon/));
      expect(fixed.has('color')).toBe(record.color !== 'none');
      if (record.color !== 'none') expect(caption).toContain(record.color);
    }
  });
});
