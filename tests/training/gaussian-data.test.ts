/** On data whose flow is known, what consistency training learns approaches the closed form. */
import { expect, it } from 'vitest';
import { exactFunction, trainOnGaussian } from '../../benchmarks/gaussian/train.ts';
import { createNodeEngine } from '../../src/engines/onnxruntime-node/engine.ts';
import { describeGolden, expectClose, readJson } from '../conformance/golden.ts';

interface Row {
  readonly m: number;
  readonly s: number;
  readonly x: number;
  readonly sigma: number;
  readonly 'f_to_0.002': number;
}

describeGolden('analytic', (folder) => {
  const rows = readJson<{ edm: Row[] }>(folder, 'gaussian_flow.json').edm.filter(
    ({ m, s, sigma }) => m === 0.3 && s === 0.5 && sigma < 20,
  );

  it('the exact function is that of the fixture', () => {
    expect(rows.length).toBeGreaterThan(10);
    expectClose(
      rows.map(({ x, sigma }) => exactFunction(x, sigma)),
      rows.map((row) => row['f_to_0.002']),
      1e-12,
      'relative',
    );
  });

  it.each(['ict', 'ect'] as const)('%s learns it', async (kind) => {
    const engine = createNodeEngine({ threads: 1 });
    const learned = await trainOnGaussian(engine, kind, 250);
    const squares: number[] = [];
    for (const { x, sigma, m, s, 'f_to_0.002': expected } of rows) {
      // Beyond two and a half deviations there are hardly any samples to learn from.
      if (Math.abs(x - m) > 2.5 * Math.hypot(s, sigma)) continue;
      squares.push(((await learned([x], sigma))[0]! - expected) ** 2);
    }
    expect(squares.length).toBeGreaterThan(8);
    // The data have a deviation of 0.5; a diffusion model's answer, their mean, is off by as much.
    expect(Math.sqrt(squares.reduce((sum, value) => sum + value, 0) / squares.length)).toBeLessThan(0.08);
    await engine.dispose();
  });
});
