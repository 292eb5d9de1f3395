import fc from 'fast-check';
import { expect, it } from 'vitest';
import { MinHeap } from './min-heap.ts';

it('gives numbers in their order, whatever comes and goes', () => {
  fc.assert(
    fc.property(fc.array(fc.option(fc.integer({ min: 0, max: 50 }))), (events) => {
      const heap = new MinHeap();
      const sorted: number[] = [];
      for (const event of events) {
        if (event === null) {
          expect(heap.pop()).toBe(sorted.shift());
        } else {
          heap.push(event);
          sorted.push(event);
          sorted.sort((a, b) => a - b);
        }
      }
      for (const value of sorted) expect(heap.pop()).toBe(value);
      expect(heap.pop()).toBeUndefined();
    }),
  );
});
