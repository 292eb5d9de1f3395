import { expect, it } from 'vitest';
import { symmetricBetaQuantile } from './beta-distribution.ts';

it("is SciPy's beta.ppf", () => {
  const known = [
    [0.01, 0.0008612388215429059],
    [0.3, 0.23401700387523572],
    [0.5, 0.5],
    [0.9, 0.9604155944112192],
  ] as const;
  for (const [q, x] of known) expect(symmetricBetaQuantile(0.6, q)).toBeCloseTo(x, 14);
  expect([0, 1].map((q) => symmetricBetaQuantile(0.6, q))).toEqual([expect.closeTo(0, 300), 1]);
});

it('knows the distributions with a closed form', () => {
  for (const q of [0.02, 0.2, 0.7]) {
    expect(symmetricBetaQuantile(1, q)).toBeCloseTo(q, 14); // uniform
    expect(symmetricBetaQuantile(0.5, q)).toBeCloseTo(Math.sin((Math.PI / 2) * q) ** 2, 14); // arcsine
  }
});
