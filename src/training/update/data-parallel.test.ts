import { describe, expect, it } from 'vitest';
import { createReferenceEngine } from '../../engines/reference/engine.ts';
import { float32Data, hostTensor } from '../../graph/host-tensor.ts';
import { gemm, reduceMean, square, subtract } from '../../graph/operators/index.ts';
import { input, parameter } from '../../graph/tensor.ts';
import { onesInitializer } from '../../layers/initializers.ts';
import { trainingProgram } from '../objectives/objective.ts';
import { compileShares, shareOf } from './data-parallel.ts';

/** Linear regression of `target` on `x`, shifted by something that all samples share. */
function regression(batch: number) {
  const weight = parameter('weight', [3, 2]);
  const error = subtract(
    subtract(gemm(input('x', [batch, 3]), weight), input('target', [batch, 2])),
    input('shift', [1, 2]),
  );
  const sampleLoss = reduceMean(square(error), [1]);
  return trainingProgram(
    { loss: reduceMean(sampleLoss), sampleLoss },
    new Map([['weight', { shape: [3, 2], initializer: onesInitializer, tensor: weight }]]),
  );
}

const numbers = (shape: readonly number[], seed: number) => {
  const length = shape.reduce((product, size) => product * size, 1);
  return hostTensor(
    Float32Array.from({ length }, (_, i) => Math.sin(seed + 1.7 * i)),
    shape,
  );
};

const inputs = {
  weight: numbers([3, 2], 1),
  x: numbers([6, 3], 2),
  target: numbers([6, 2], 3),
  shift: numbers([1, 2], 4),
};

describe('a step shared by several engines', () => {
  it.each([2, 3])('is the step of one engine: %i shares', async (replicas) => {
    const whole = await createReferenceEngine().compile(regression(6));
    const engines = Array.from({ length: replicas }, () => createReferenceEngine());
    const shared = await compileShares(engines, regression(shareOf(6, replicas)), {});
    const expected = await whole.run(inputs);
    const shares = await shared.run(inputs);
    expect(shares).toHaveLength(replicas);
    for (const [name, tensor] of Object.entries(expected)) {
      const values = shares.map((share) => Array.from(float32Data(share[name]!)));
      // Losses by sample are joined, all else is averaged.
      const found =
        name === 'sample_loss'
          ? values.flat()
          : values[0]!.map((_, i) => values.reduce((sum, own) => sum + own[i]!, 0) / replicas);
      expect(found).toHaveLength(tensor.data.length);
      float32Data(tensor).forEach((value, i) => {
        expect(found[i]).toBeCloseTo(value, 5);
      });
    }
  });

  it('refuses inputs of another batch', async () => {
    const engines = [createReferenceEngine(), createReferenceEngine()];
    const shared = await compileShares(engines, regression(3), {});
    await expect(shared.run({ ...inputs, x: numbers([5, 3], 2) })).rejects.toThrow(/not 2 times/);
  });

  it('refuses a batch that does not divide', () => {
    expect(() => shareOf(32, 3)).toThrow(/cannot be shared equally among 3/);
  });
});
