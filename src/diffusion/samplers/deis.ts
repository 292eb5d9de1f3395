/**
 * DEIS, multistep, of first, second or third order (Zhang and Chen 2023, "log-rho"), as diffusers'
 * DEISMultistepScheduler: ε̂ is integrated over ρ = σ / α as the polynomial in log ρ through its latest values. A step
 * ends at the noise of timestep 0 at the least.
 */
import { linearCombination, weightedSum } from '../elementwise.ts';
import { type BetaScheduleConfig, ddpmBetas } from '../noise-schedule.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import { clip, noClipping, type ThresholdingConfig } from './clipping.ts';
import type { ConfigReading } from './config.ts';
import { logSnrSpace } from './log-snr-space.ts';
import type { SigmaSampler } from './sampler.ts';
import { noSigmaSpread, type SigmaSpreadConfig } from './sigmas.ts';
import { checkSteps, type TimestepSpacing } from './timestep-spacing.ts';

export interface DeisConfig extends BetaScheduleConfig, SigmaSpreadConfig, ThresholdingConfig {
  readonly prediction_type: PredictionType;
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
  /** 1, 2 or 3. */
  readonly solver_order: number;
  /** Lower orders in the last steps of fewer than 15. */
  readonly lower_order_final: boolean;
}

export const deisDefaults: DeisConfig = {
  ...ddpmBetas,
  ...noSigmaSpread,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  solver_order: 2,
  lower_order_final: true,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

export const deisReading: ConfigReading<DeisConfig> = {
  defaults: deisDefaults,
  supported: { solver_order: [1, 2, 3], use_flow_sigmas: [false], use_dynamic_shifting: [false] },
};

export interface DeisOptions {
  readonly steps: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/** Throws UsageError for a number of steps that the schedule does not have. */
export function deisSampler(
  config: Partial<DeisConfig>,
  { steps, batchSize = 1 }: DeisOptions,
): SigmaSampler {
  const full = { ...deisDefaults, ...config };
  const { prediction_type, solver_order } = full;
  checkSteps(steps, full.num_train_timesteps);
  const schedule = { ...full, rescale_betas_zero_snr: false, final_sigmas_type: 'sigma_min' } as const;
  const { levels, sigmas, ...space } = logSnrSpace(schedule, steps, 'unipc');
  const last = space.timesteps.length - 1;
  const lowersOrder = full.lower_order_final && space.timesteps.length < 15;
  let history: Float32Array[] = []; // ε̂, newest first

  return {
    ...space,
    sigmas,
    step(modelOutput, i, sample) {
      const [from, to] = [levels[i]!, levels[i + 1]!];
      const original = predictedOriginal(prediction_type, modelOutput, sample, from.alpha, from.sigma);
      const denoised = clip({ ...noClipping, ...full }, original, batchSize);
      const epsilon = weightedSum(1 / from.sigma, sample, -from.alpha / from.sigma, denoised);
      history = [epsilon, ...history.slice(0, 2)];

      const allowed = lowersOrder ? last - i + 1 : solver_order;
      const order = Math.min(solver_order, history.length, allowed);
      const known = Array.from({ length: order }, (_, age) => Math.log(sigmas[i - age]!));
      const weights = lagrangeIntegrals(known, sigmas[i]!, sigmas[i + 1]!);
      const terms = [1 / from.alpha, ...weights].map((weight) => to.alpha * weight);
      return { sample: linearCombination(terms, [sample, ...history]), denoised };
    },
  };
}

/** ∫ l_j(log ρ) dρ from `start` to `end` for the Lagrange polynomials l_j with these one to three nodes. */
function lagrangeIntegrals(nodes: readonly number[], start: number, end: number): number[] {
  // Antiderivatives of 1, log ρ and (log ρ)²
  const [constant, linear, square] = [
    (rho: number, _: number) => rho,
    (rho: number, log: number) => rho * (log - 1),
    (rho: number, log: number) => rho * (log ** 2 - 2 * log + 2),
  ].map((f) => f(end, Math.log(end)) - f(start, Math.log(start))) as [number, number, number];
  return nodes.map((node, j) => {
    const [c, d] = nodes.filter((_, k) => k !== j);
    if (c === undefined) return constant;
    if (d === undefined) return (linear - c * constant) / (node - c);
    return (square - (c + d) * linear + c * d * constant) / ((node - c) * (node - d));
  });
}
