import { describe, expect, it } from 'vitest';
import { createContext } from '../datasets/node/canvas.ts';
import { isHeldOut } from '../datasets/postcards/attributes.ts';
import { postcard } from '../datasets/postcards/postcards.ts';
import { drawCards, protocolCards } from './protocol.ts';

describe('the evaluation protocol', () => {
  it('takes the first captions of test, then as many held-out ones', () => {
    const cards = protocolCards(8);
    expect(cards.map(({ record }) => isHeldOut(record))).toEqual([
      ...Array(4).fill(false),
      ...Array(4).fill(true),
    ]);
    expect(cards[3]!.caption).toBe(postcard(3, { split: 'test' }).caption);
    expect(cards[4]!.caption).toBe(postcard(0, { split: 'heldout' }).caption);
  });

  it('begins with the same captions whatever the count', () => {
    const [few, many] = [protocolCards(4), protocolCards(12)].map((cards) =>
      cards.map(({ caption }) => caption),
    );
    expect(many!.slice(0, 2)).toEqual(few!.slice(0, 2));
    expect(many!.slice(6, 8)).toEqual(few!.slice(2));
  });

  it('keeps its captions in another size', () => {
    const captions = (size: number) => protocolCards(8, size).map(({ caption }) => caption);
    expect(captions(128)).toEqual(captions(64));
    expect(protocolCards(2, 128).map(({ size }) => size)).toEqual([128, 128]);
  });

  it('compares with other drawings of the same scenes', () => {
    const cards = protocolCards(2);
    const context = createContext(64, 64);
    const [first, again, other] = [0, 0, 1].map((variant) => drawCards(context, cards, variant)[0]!.data);
    expect(again).toEqual(first);
    expect(other).not.toEqual(first);
  });

  it.each([0, 7, -2, 1.5])('refuses %s captions', (count) => {
    expect(() => protocolCards(count)).toThrow(/expected an even number from 2/);
  });
});
