/**
 * UniPC, multistep, of first, second or third order (Zhao et al. 2023, algorithms 5 to 8), as diffusers'
 * UniPCMultistepScheduler. Each pass first corrects the step that led to its sample (UniC), at no cost, then predicts
 * the next (UniP). Both integrate x̂_0, or ε̂, over λ = log(α / σ) by a quadrature that is exact for its latest values.
 */
import { Matrix, solve } from 'ml-matrix';
import { linearCombination } from '../elementwise.ts';
import { ddpmSchedule } from '../noise-schedule.ts';
import { type PredictionType, predictedNoise, predictedOriginal } from '../prediction.ts';
import { clip, noClipping, type ThresholdingConfig } from './clipping.ts';
import type { ConfigReading } from './config.ts';
import { type Level, type LogSnrSpaceConfig, logSnrSpace } from './log-snr-space.ts';
import type { SigmaSampler } from './sampler.ts';
import { noSigmaSpread } from './sigmas.ts';
import { checkSteps } from './timestep-spacing.ts';

export interface UniPcConfig extends LogSnrSpaceConfig, ThresholdingConfig {
  readonly prediction_type: PredictionType;
  /** 1, 2 or 3: the corrector has one order more. */
  readonly solver_order: number;
  /** B(h) of the paper: h, or e^h − 1. */
  readonly solver_type: 'bh1' | 'bh2';
  /** Integrate x̂_0, otherwise ε̂. */
  readonly predict_x0: boolean;
  /** Lower orders in the last steps. */
  readonly lower_order_final: boolean;
  /** Steps that are not corrected. */
  readonly disable_corrector: readonly number[];
}

export const uniPcDefaults: UniPcConfig = {
  ...ddpmSchedule,
  ...noSigmaSpread,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  solver_order: 2,
  solver_type: 'bh2',
  predict_x0: true,
  lower_order_final: true,
  disable_corrector: [],
  final_sigmas_type: 'zero',
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

export const uniPcReading: ConfigReading<UniPcConfig> = {
  defaults: uniPcDefaults,
  supported: {
    solver_order: [1, 2, 3],
    solver_type: ['bh1', 'bh2'],
    solver_p: [null],
    use_flow_sigmas: [false],
    use_dynamic_shifting: [false],
  },
  foreign: { solver_type: { midpoint: 'bh2', heun: 'bh2', logrho: 'bh2' } },
};

export interface UniPcOptions {
  readonly steps: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. */
export function uniPcSampler(
  config: Partial<UniPcConfig>,
  { steps, batchSize = 1 }: UniPcOptions,
): SigmaSampler {
  const full = { ...uniPcDefaults, ...config };
  const { prediction_type, predict_x0, solver_order } = full;
  checkSteps(steps, full.num_train_timesteps);
  const { levels, ...space } = logSnrSpace(full, steps, 'unipc');
  const count = space.timesteps.length;
  let history: Float32Array[] = []; // x̂_0 or ε̂ of the steps before, newest first
  let last: { sample: Float32Array; order: number } | undefined; // where the last step began, and of which order it was

  function orderOf(i: number, known: number): number {
    // No slope can be followed on a step to no noise, which is infinitely long, nor on one between equal levels.
    const end = levels[i + 1]!.sigma;
    if (end === 0 || end === levels[i]!.sigma) return 1;
    return Math.min(solver_order, known, full.lower_order_final ? count - i : solver_order);
  }

  return {
    ...space,
    step(modelOutput, i, sample) {
      const { alpha, sigma } = levels[i]!;
      const original = predictedOriginal(prediction_type, modelOutput, sample, alpha, sigma);
      const denoised = clip({ ...noClipping, ...full }, original, batchSize);
      const output = predict_x0
        ? denoised
        : predictedNoise(prediction_type, modelOutput, sample, alpha, sigma);

      const corrects = last !== undefined && !full.disable_corrector.includes(i - 1);
      const from = corrects
        ? transfer(full, { levels, i: i - 1, ...last!, outputs: history, ahead: output })
        : sample;
      history = [output, ...history.slice(0, solver_order - 1)];
      const order = orderOf(i, history.length);
      last = { sample: from, order };
      return { sample: transfer(full, { levels, i, ...last, outputs: history }), denoised };
    },
  };
}

interface Transfer {
  readonly levels: readonly Level[];
  /** From level i to level i + 1. */
  readonly i: number;
  readonly sample: Float32Array;
  readonly order: number;
  /** At the levels i, i − 1, …, at least `order` of them. */
  readonly outputs: readonly Float32Array[];
  /** At level i + 1, for the corrector. */
  readonly ahead?: Float32Array;
}

/** The step from level i to the next, of the predictor, or with the output at its end of the corrector (eq. 3 and 8). */
function transfer(
  { predict_x0, solver_type }: UniPcConfig,
  { levels, i, sample, order, outputs, ahead }: Transfer,
): Float32Array {
  const [from, to] = [levels[i]!, levels[i + 1]!];
  const h = to.lambda - from.lambda;
  const signed = predict_x0 ? -h : h;
  const [kept, scale] = predict_x0 ? [to.sigma / from.sigma, to.alpha] : [to.alpha / from.alpha, to.sigma];
  // α' (e^(−h) − 1), or σ' (e^h − 1) in a form that is finite at no noise
  const gain = predict_x0 ? to.alpha * Math.expm1(-h) : (to.alpha * from.sigma) / from.alpha - to.sigma;
  const weights = [kept, -gain, ...new Array<number>(order - 1).fill(0)];
  const arrays = [sample, ...outputs.slice(0, order)];

  // Where the outputs lie, in units of the step; their differences from the newest, with these weights, are added.
  const places = outputs.slice(1, order).map((_, k) => (levels[i - 1 - k]!.lambda - from.lambda) / h);
  if (ahead !== undefined) {
    places.push(1);
    weights.push(0);
    arrays.push(ahead);
  }
  quadrature(places, signed, solver_type).forEach((share, k) => {
    const weight = (scale * share) / places[k]!;
    weights[1]! += weight;
    weights[k + 2]! -= weight;
  });
  return linearCombination(weights, arrays);
}

/**
 * B(h) a_k for differences at `places`, h with its sign: exact for polynomials of as high a degree as there are places
 * (eq. 5, theorem 3.1). A single one has a = 1/2, which is exact but for terms of higher order.
 */
function quadrature(places: readonly number[], h: number, solverType: UniPcConfig['solver_type']): number[] {
  const power = Math.expm1(h);
  if (places.length === 0) return [];
  if (places.length === 1) return [(solverType === 'bh1' ? h : power) / 2];
  const vandermonde = new Matrix(places.map((_, row) => places.map((place) => place ** row)));
  // h^n φ_n(h) n!, by the recurrence of the φ functions
  const moments: number[] = [];
  let [phi, factorial] = [power / h - 1, 1];
  for (let n = 1; n <= places.length; n++) {
    moments.push(phi * factorial);
    factorial *= n + 1;
    phi = phi / h - 1 / factorial;
  }
  return solve(vandermonde, Matrix.columnVector(moments)).to1DArray();
}
