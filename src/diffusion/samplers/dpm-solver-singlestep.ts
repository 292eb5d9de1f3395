/**
 * DPM-Solver++, single step, of second or third order (Lu et al. 2022b, algorithm 1, "DPM++ 2S"), and the same for the
 * diffusion SDE, as diffusers' DPMSolverSinglestepScheduler. Two or three passes belong together: each goes from where
 * the first of them began to the next noise level, of one order more than the one before.
 */
import { linearCombination } from '../elementwise.ts';
import { type BetaScheduleConfig, ddpmBetas } from '../noise-schedule.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import { clip, noClipping, type ThresholdingConfig } from './clipping.ts';
import type { ConfigReading } from './config.ts';
import { type DpmSolverConfig, dpmSolverReading } from './dpm-solver.ts';
import { exponentialStep, polynomialTerms } from './exponential-step.ts';
import { type Level, logSnrSpace } from './log-snr-space.ts';
import type { SigmaSampler } from './sampler.ts';
import { type FinalSigmaType, noSigmaSpread, type SigmaSpreadConfig } from './sigmas.ts';
import { checkSteps } from './timestep-spacing.ts';

export interface DpmSolverSinglestepConfig
  extends BetaScheduleConfig,
    SigmaSpreadConfig,
    ThresholdingConfig,
    Pick<DpmSolverConfig, 'algorithm_type' | 'solver_type' | 'lambda_min_clipped'> {
  readonly prediction_type: PredictionType;
  /** 1, 2 or 3: as many passes belong together. */
  readonly solver_order: number;
  /** First order in the last pass of a whole group; done in any case where it ends at no noise. */
  readonly lower_order_final: boolean;
  readonly final_sigmas_type: FinalSigmaType;
}

export const dpmSolverSinglestepDefaults: DpmSolverSinglestepConfig = {
  ...ddpmBetas,
  ...noSigmaSpread,
  prediction_type: 'epsilon',
  algorithm_type: 'dpmsolver++',
  solver_order: 2,
  solver_type: 'midpoint',
  lower_order_final: false,
  final_sigmas_type: 'zero',
  lambda_min_clipped: Number.NEGATIVE_INFINITY,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

const { use_lu_lambdas: _, ...supported } = dpmSolverReading.supported!;

export const dpmSolverSinglestepReading: ConfigReading<DpmSolverSinglestepConfig> = {
  ...dpmSolverReading,
  defaults: dpmSolverSinglestepDefaults,
  supported,
};

export interface DpmSolverSinglestepOptions {
  readonly steps: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. With the SDE every step draws noise. */
export function dpmSolverSinglestepSampler(
  config: Partial<DpmSolverSinglestepConfig>,
  { steps, batchSize = 1 }: DpmSolverSinglestepOptions,
): SigmaSampler {
  const full = { ...dpmSolverSinglestepDefaults, ...config };
  const { prediction_type, algorithm_type } = full;
  checkSteps(steps, full.num_train_timesteps);
  const schedule = {
    ...full,
    rescale_betas_zero_snr: false,
    timestep_spacing: 'linspace',
    steps_offset: 0,
  } as const;
  const { levels, ...space } = logSnrSpace(schedule, steps, 'dpm-solver-singlestep');
  const orders = ordersOf(full, steps);
  let history: Float32Array[] = []; // x̂_0, newest first
  let base: Float32Array; // where the passes that belong together began

  return {
    ...space,
    step(modelOutput, i, sample, noise) {
      const { alpha, sigma } = levels[i]!;
      const original = predictedOriginal(prediction_type, modelOutput, sample, alpha, sigma);
      const denoised = clip({ ...noClipping, ...full }, original, batchSize);
      history = [denoised, ...history.slice(0, 2)];

      // Image to image may begin in the middle of a group.
      const order = Math.min(orders[i]!, history.length);
      if (order === 1) base = sample;
      const [from, to] = [levels[i - order + 1]!, levels[i + 1]!];
      const known = levels.slice(i - order + 1, i + 1).reverse();
      const mean = linearCombination(interpolation(full, known, to), history);
      return { sample: exponentialStep(algorithm_type, { from, to }, base, mean, noise), denoised };
    },
  };
}

/** Of every pass: 1, 2, 3, 1, 2, 3, … or 1, 2, 1, 2, … */
function ordersOf(
  { solver_order: order, lower_order_final, final_sigmas_type }: DpmSolverSinglestepConfig,
  steps: number,
): number[] {
  const orders = Array.from({ length: steps }, (_, i) => (i % order) + 1);
  if (final_sigmas_type === 'zero' || (lower_order_final && steps % order === 0)) orders[steps - 1] = 1;
  return orders;
}

/**
 * Weights of the values of x̂_0 at `levels`, newest first, in the mean that a step from the oldest of them moves towards:
 * x̂_0 there and what its divided differences add.
 */
function interpolation(
  { algorithm_type, solver_type }: DpmSolverSinglestepConfig,
  levels: readonly Level[],
  to: Level,
): number[] {
  const start = levels.at(-1)!;
  const h = to.lambda - start.lambda;
  const [r0, r1] = levels.map(({ lambda }) => (lambda - start.lambda) / h) as [number, number];
  if (levels.length === 1) return [1];
  const terms = polynomialTerms(algorithm_type, h);
  if (levels.length === 2) {
    const slope = (solver_type === 'midpoint' ? 0.5 : terms.slope) / r0;
    return [slope, 1 - slope];
  }
  if (solver_type === 'midpoint') return [terms.slope / r0, 0, 1 - terms.slope / r0];
  const newest = (2 * terms.curvature - terms.slope * r1) / (r0 - r1) / r0;
  const middle = (terms.slope * r0 - 2 * terms.curvature) / (r0 - r1) / r1;
  return [newest, middle, 1 - newest - middle];
}
