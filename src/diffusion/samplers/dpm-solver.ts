/**
 * DPM-Solver++, multistep, of first, second or third order (Lu et al. 2022b, algorithm 2, "DPM++ 2M"), and the same for
 * the diffusion SDE ("DPM++ 2M SDE"), as diffusers' DPMSolverMultistepScheduler. It integrates x̂_0 exactly in
 * λ = log(α / σ), as a polynomial through its latest values.
 */
import { linearCombination } from '../elementwise.ts';
import { ddpmSchedule } from '../noise-schedule.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import { clip, noClipping, type ThresholdingConfig } from './clipping.ts';
import type { ConfigReading } from './config.ts';
import {
  type DpmSolverAlgorithm,
  dpmSolverAlgorithms,
  exponentialStep,
  polynomialTerms,
} from './exponential-step.ts';
import { type Level, type LogSnrSpaceConfig, logSnrSpace } from './log-snr-space.ts';
import type { SigmaSampler } from './sampler.ts';
import { noSigmaSpread } from './sigmas.ts';
import { checkSteps } from './timestep-spacing.ts';

export interface DpmSolverConfig extends LogSnrSpaceConfig, ThresholdingConfig {
  readonly lambda_min_clipped: number;
  readonly prediction_type: PredictionType;
  readonly algorithm_type: DpmSolverAlgorithm;
  /** 1, 2 or 3. */
  readonly solver_order: number;
  /** Of the two second-order methods: x̂_0's slope by the midpoint rule, or integrated exactly. */
  readonly solver_type: 'midpoint' | 'heun';
  /** Lower orders in the last steps of fewer than 15. */
  readonly lower_order_final: boolean;
  /** First order in the last step, however many there are. */
  readonly euler_at_final: boolean;
}

export const dpmSolverDefaults: DpmSolverConfig = {
  ...ddpmSchedule,
  ...noSigmaSpread,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  algorithm_type: 'dpmsolver++',
  solver_order: 2,
  solver_type: 'midpoint',
  lower_order_final: true,
  euler_at_final: false,
  final_sigmas_type: 'zero',
  lambda_min_clipped: Number.NEGATIVE_INFINITY,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

export const dpmSolverReading: ConfigReading<DpmSolverConfig> = {
  defaults: dpmSolverDefaults,
  supported: {
    algorithm_type: dpmSolverAlgorithms,
    solver_order: [1, 2, 3],
    solver_type: ['midpoint', 'heun'],
    use_lu_lambdas: [false],
    use_flow_sigmas: [false],
    use_dynamic_shifting: [false],
    // Those of DDPM that are not learned are of no consequence here.
    variance_type: [null, 'fixed_small', 'fixed_small_log', 'fixed_large', 'fixed_large_log'],
  },
  foreign: {
    algorithm_type: { deis: 'dpmsolver++', data_prediction: 'dpmsolver++', noise_prediction: 'dpmsolver++' },
    solver_type: { logrho: 'midpoint', bh1: 'midpoint', bh2: 'midpoint' },
  },
};

export interface DpmSolverOptions {
  readonly steps: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. With the SDE every step draws noise. */
export function dpmSolverSampler(
  config: Partial<DpmSolverConfig>,
  { steps, batchSize = 1 }: DpmSolverOptions,
): SigmaSampler {
  const full = { ...dpmSolverDefaults, ...config };
  const { prediction_type, algorithm_type, solver_order, final_sigmas_type } = full;
  checkSteps(steps, full.num_train_timesteps);
  const { levels, ...space } = logSnrSpace(full, steps, 'dpm-solver');
  const last = space.timesteps.length - 1;
  const lowersOrder = full.lower_order_final && space.timesteps.length < 15;
  const firstOrderAtEnd = full.euler_at_final || lowersOrder || final_sigmas_type === 'zero';
  let history: Float32Array[] = []; // x̂_0, newest first

  function orderOf(i: number): number {
    const known = Math.min(solver_order, history.length);
    if (i === last && firstOrderAtEnd) return 1;
    return i === last - 1 && lowersOrder ? Math.min(known, 2) : known;
  }

  return {
    ...space,
    step(modelOutput, i, sample, noise) {
      const [from, to] = [levels[i]!, levels[i + 1]!];
      const original = predictedOriginal(prediction_type, modelOutput, sample, from.alpha, from.sigma);
      const denoised = clip({ ...noClipping, ...full }, original, batchSize);
      history = [denoised, ...history.slice(0, 2)];

      const past = levels.slice(0, i + 1).reverse();
      const weights = extrapolation(full, { past, to, order: orderOf(i) });
      const mean = weights.length === 1 ? denoised : linearCombination(weights, history);
      return { sample: exponentialStep(algorithm_type, { from, to }, sample, mean, noise), denoised };
    },
  };
}

interface Extrapolation {
  /** Where x̂_0 is known, newest first. */
  readonly past: readonly Level[];
  readonly to: Level;
  readonly order: number;
}

/**
 * Weights of the values of x̂_0, newest first, in the mean that a step moves towards: x̂_0 and what its first two divided
 * differences add.
 */
function extrapolation(
  { algorithm_type, solver_type }: DpmSolverConfig,
  { past, to, order }: Extrapolation,
): number[] {
  const [now, before, earlier] = past as [Level, Level, Level];
  const h = to.lambda - now.lambda;
  // A step may have no length: Karras' smallest level is where the last step ends, with final_sigmas_type sigma_min.
  if (order === 1 || h === 0) return [1];
  const terms = polynomialTerms(algorithm_type, h);
  const h0 = now.lambda - before.lambda;
  if (order === 2) {
    const slope = ((solver_type === 'midpoint' ? 0.5 : terms.slope) * h) / h0;
    return [1 + slope, -slope];
  }
  const h1 = before.lambda - earlier.lambda;
  const [r0, r1] = [h0 / h, h1 / h];
  const both = (terms.slope * r0 + terms.curvature) / (r0 + r1);
  const [newer, older] = [(terms.slope + both) / r0, both / r1];
  return [1 + newer, -newer - older, older];
}
