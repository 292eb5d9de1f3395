/** What every reader promises for damaged input: it makes sense of it, or refuses it with InputError. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { InputError } from '../../src/errors.ts';

/** Runs `read` on `numRuns` inputs, of which some must be sound and some refused. */
export async function readsOrRefuses<T>(
  inputs: fc.Arbitrary<T>,
  read: (input: T) => unknown,
  numRuns: number,
): Promise<void> {
  const outcomes = { sound: 0, refused: 0 };
  await fc.assert(
    fc.asyncProperty(inputs, async (input) => {
      try {
        await read(input);
        outcomes.sound++;
      } catch (error) {
        if (!(error instanceof InputError)) throw error;
        outcomes.refused++;
      }
    }),
    { numRuns },
  );
  expect(outcomes.sound).toBeGreaterThan(0);
  expect(outcomes.refused).toBeGreaterThan(0);
}
