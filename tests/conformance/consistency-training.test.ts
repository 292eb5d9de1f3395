/** Levels, scalings, distances and pairs of consistency training without a teacher, against closed forms. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Boundary, karrasBoundary } from '../../src/diffusion/affine.ts';
import { consistencyScalings, denoiserScalings, karrasSigmas } from '../../src/diffusion/karras.ts';
import { createReferenceEngine } from '../../src/engines/reference/engine.ts';
import { float32Data, type HostTensor, hostTensor } from '../../src/graph/host-tensor.ts';
import { add, divide, multiply, reshape, sqrt, square, subtract } from '../../src/graph/operators/index.ts';
import { program } from '../../src/graph/program.ts';
import { constant, input } from '../../src/graph/tensor.ts';
import {
  type ConsistencyDistance,
  type ConsistencyDraw,
  consistencyLoss,
} from '../../src/training/objectives/consistency.ts';
import type { Denoiser } from '../../src/training/objectives/diffusion.ts';
import { Leaves } from '../../src/training/objectives/leaves.ts';
import { earlierSigma, levelCount, levelProbabilities } from '../../src/training/objectives/sigma-pairs.ts';
import type { TimePair } from '../../src/training/objectives/time-pairs.ts';
import { pseudoHuberOf } from '../../src/training/runs/consistency-pairs.ts';
import { describeGolden, expectClose, floats, readJson, readTensors } from './golden.ts';

/** f = x̂_0: enough for networks that predict v or ε, whose x̂_0 is x where σ is 0. */
const noBoundary: Boundary = () => ({ skip: 0, out: 1 });

interface Fixture {
  readonly edm: readonly {
    readonly sigma: number;
    readonly sigma_min: number;
    readonly sigma_data: number;
    readonly edm: Record<'c_skip' | 'c_out' | 'c_in' | 'c_noise' | 'loss_weight', number>;
    readonly consistency: Record<'c_skip' | 'c_out', number>;
  }[];
  readonly ict: {
    readonly karras_sigmas_ascending: readonly number[];
    readonly P_mean: number;
    readonly P_std: number;
    readonly level_probabilities: readonly number[];
    readonly weights_1_over_gap: readonly number[];
    readonly curriculum: readonly { readonly K: number; readonly k: number; readonly N: number }[];
    readonly pseudo_huber_c_of_dimension: readonly { readonly d: number; readonly c: number }[];
    readonly pseudo_huber: {
      readonly a: readonly (readonly number[])[];
      readonly b: readonly (readonly number[])[];
      readonly c: number;
      readonly per_sample: readonly number[];
      readonly 'elementwise_mean_c0.001': number;
    };
  };
  readonly ect: {
    readonly q: number;
    readonly rows: readonly {
      readonly stage: number;
      readonly t: number;
      readonly r: number;
      readonly weight_1_over_gap: number;
    }[];
  };
}

/** In float64, relative to the largest. */
const EXACT = 1e-12;

describeGolden('analytic', (folder) => {
  const { edm, ict, ect } = readJson<Fixture>(folder, 'edm_ict_ect.json');

  it.each(edm)('scalings at σ = $sigma', ({ sigma, sigma_min, sigma_data, edm, consistency }) => {
    const actual = denoiserScalings(sigma, sigma_data);
    expect(actual.cSkip).toBeCloseTo(edm.c_skip, 12);
    expect(actual.cOut).toBeCloseTo(edm.c_out, 12);
    expect(actual.cIn).toBeCloseTo(edm.c_in, 12);
    expect(actual.cNoise).toBeCloseTo(edm.c_noise, 12);
    expect(actual.lossWeight / edm.loss_weight).toBeCloseTo(1, 12);
    const { cSkip, cOut } = consistencyScalings(sigma, sigma_min, sigma_data);
    expect(cSkip).toBeCloseTo(consistency.c_skip, 12);
    expect(cOut).toBeCloseTo(consistency.c_out, 12);
    // The same function, told of x̂_0.
    const { skip, out } = karrasBoundary(sigma_min, sigma_data)({ t: 0, alpha: 1, sigma });
    expect(skip + out * actual.cSkip).toBeCloseTo(consistency.c_skip, 12);
    expect(out * actual.cOut).toBeCloseTo(consistency.c_out, 12);
  });

  it('the levels, how often they are drawn, and what they count', () => {
    const expected = ict.karras_sigmas_ascending;
    const sigmas = karrasSigmas(expected[0]!, expected.at(-1)!, expected.length);
    expectClose(sigmas, expected, EXACT, 'relative');
    const density = { mean: ict.P_mean, deviation: ict.P_std };
    expectClose(levelProbabilities(sigmas, density), ict.level_probabilities, EXACT, 'relative');
    const gaps = sigmas.slice(1).map((sigma, i) => 1 / (sigma - sigmas[i]!));
    expectClose(gaps, ict.weights_1_over_gap, EXACT, 'relative');
  });

  it.each(ict.curriculum)('levels at update $k of $K', ({ K, k, N }) => {
    expect(levelCount(k, K, { first: 10, last: 1280 })).toBe(N);
  });

  it.each(ict.pseudo_huber_c_of_dimension)('c of $d dimensions', ({ d, c }) => {
    expect(pseudoHuberOf(d)).toBeCloseTo(c, 14);
  });

  it.each(ect.rows)('stage $stage, t = $t: r', ({ stage, t, r, weight_1_over_gap }) => {
    const actual = earlierSigma(t, stage, ect.q);
    expect(actual).toBeCloseTo(r, 12);
    expect(1 / (t - actual) / weight_1_over_gap).toBeCloseTo(1, 12);
  });

  describe('the loss', () => {
    const pair = (fields: Partial<TimePair>): TimePair => ({
      start: { t: 1, alpha: 1, sigma: 0 },
      end: { t: 0, alpha: 1, sigma: 0 },
      between: [],
      weight: 1,
      pureNoise: false,
      group: 'all',
      ...fields,
    });

    /** Losses of samples whose student and target are the network `model`, of predictions of x_0. */
    async function losses(
      model: Denoiser,
      distance: ConsistencyDistance,
      drawn: ConsistencyDraw,
    ): Promise<{ loss: number; samples: Float32Array; results: Record<string, Float32Array> }> {
      const { shape } = drawn.latents;
      const leaves = new Leaves<ConsistencyDraw>(shape[0]!);
      const objective = consistencyLoss(
        { student: model, target: model },
        { states: input('states', [shape[0]!, 1, 1]) },
        { shape, predictionType: 'sample', boundary: noBoundary, distance },
        leaves,
      );
      const engine = createReferenceEngine();
      const { loss, sampleLoss, intermediates } = objective;
      const outputs = { loss, sample: sampleLoss!, ...intermediates };
      const executable = await engine.compile(program(outputs));
      const results = await executable.run(leaves.inputs(drawn));
      const arrays = Object.fromEntries(Object.entries(results).map(([name, t]) => [name, float32Data(t)]));
      return { loss: arrays.loss![0]!, samples: arrays.sample!, results: arrays };
    }

    it('measures whole samples and single elements', async () => {
      const { a, b, c, per_sample } = ict.pseudo_huber;
      const shape = [a.length, a[0]!.length, 1, 1];
      const tensorOf = (rows: readonly (readonly number[])[]) =>
        hostTensor(Float32Array.from(rows.flat()), shape);
      const drawn: ConsistencyDraw = {
        pairs: a.map(() => pair({ weight: 2 })),
        latents: tensorOf(a),
        noise: hostTensor(new Float32Array(a.flat().length), shape),
        guidance: [],
      };
      const differences = a.map((row, i) => row.map((value, k) => value - b[i]![k]!));
      const shifted = (distance: ConsistencyDistance) => losses(either(tensorOf(b)), distance, drawn);
      const perSample = await shifted({ kind: 'huber-sample', c });
      expectClose(perSample.samples, per_sample, 1e-6, 'relative');
      expect(perSample.loss).toBeCloseTo((2 * per_sample.reduce((sum, value) => sum + value)) / a.length, 4);
      const elementwise = await shifted({ kind: 'huber', c: 0.001 });
      expect(elementwise.loss / 2).toBeCloseTo(ict.pseudo_huber['elementwise_mean_c0.001'], 6);
      const meanOf = (of: (value: number) => number) =>
        differences.map((row) => row.reduce((sum, value) => sum + of(value), 0) / row.length);
      const l1 = await shifted({ kind: 'l1' });
      expectClose(l1.samples, meanOf(Math.abs), 1e-6, 'relative');
      const l2 = await shifted({ kind: 'l2' });
      expectClose(
        l2.samples,
        meanOf((value) => value ** 2),
        1e-6,
        'relative',
      );
    });

    it('is what the exact function leaves: the discretisation alone', async () => {
      const { m, s, t, r } = readJson<Record<'m' | 's' | 't' | 'r', number>>(
        folder,
        'consistency_training_pair.json',
      );
      const tensors = readTensors(join(folder, 'consistency_training_pair.safetensors'));
      const count = floats(tensors, 'x0').length;
      const column = (name: string) => hostTensor(Float32Array.from(floats(tensors, name)), [count, 1, 1, 1]);
      const exact: Denoiser = (x, sigma) => {
        const spread = sqrt(add(s ** 2, square(reshape(sigma, [count, 1, 1, 1]))));
        return add(m, multiply(subtract(x, m), divide(s, spread)));
      };
      const level = (sigma: number) => ({ t: sigma, alpha: 1, sigma });
      const drawn: ConsistencyDraw = {
        pairs: Array.from({ length: count }, () => pair({ start: level(t), end: level(r) })),
        latents: column('x0'),
        noise: column('noise'),
        guidance: [],
      };
      const { loss, results } = await losses(exact, { kind: 'l2' }, drawn);
      expectClose(results.noised!, floats(tensors, 'x_t'), 1e-6, 'relative');
      expectClose(results.previous!, floats(tensors, 'x_r'), 1e-6, 'relative');
      expectClose(results.prediction!, floats(tensors, 'f_t'), 1e-6, 'relative');
      expectClose(results.goal!, floats(tensors, 'f_r'), 1e-6, 'relative');
      expect(loss / floats(tensors, 'loss_l2_mean')[0]!).toBeCloseTo(1, 5);
    });
  });
});

/** x where t is 1, and `other` where it is 0, whatever x is. */
function either(other: HostTensor): Denoiser {
  return (x, timesteps) => {
    const t = reshape(timesteps, [other.shape[0]!, 1, 1, 1]);
    return add(multiply(x, t), multiply(constant(other), subtract(1, t)));
  };
}
