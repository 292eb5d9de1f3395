/**
 * DPM-Solver++, multistep, first order or second order by the midpoint rule (Lu et al. 2022b, algorithm 2,
 * "DPM++ 2M"), as diffusers' DPMSolverMultistepScheduler. It integrates x̂_0 exactly in λ = log(α / σ).
 */
import { InputError } from '../../errors.ts';
import { weightedSum } from '../elementwise.ts';
import {
  ddpmSchedule,
  type NoiseSchedule,
  type NoiseScheduleConfig,
  noiseSchedule,
} from '../noise-schedule.ts';
import { type PredictionType, predictedOriginal } from '../prediction.ts';
import { type ClippingConfig, clip } from './clipping.ts';
import type { SigmaSampler } from './sampler.ts';
import {
  type FinalSigmaType,
  finalSigma,
  karrasSigmas,
  sigmaAt,
  sigmaTable,
  timestepAt,
  withFiniteSigmas,
} from './sigmas.ts';
import {
  checkSteps,
  leadingTimesteps,
  linspaceDescending,
  roundHalfToEven,
  type TimestepSpacing,
  trailingTimesteps,
} from './timestep-spacing.ts';

export interface DpmSolverConfig
  extends NoiseScheduleConfig,
    Pick<ClippingConfig, 'thresholding' | 'dynamic_thresholding_ratio' | 'sample_max_value'> {
  readonly prediction_type: PredictionType;
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
  /** 1 or 2. */
  readonly solver_order: number;
  /** First order in the last step of fewer than 15. */
  readonly lower_order_final: boolean;
  /** First order in the last step, however many there are. */
  readonly euler_at_final: boolean;
  readonly use_karras_sigmas: boolean;
  readonly final_sigmas_type: FinalSigmaType;
  /** Timesteps with a smaller λ are not visited. */
  readonly lambda_min_clipped: number;
}

export const dpmSolverDefaults: DpmSolverConfig = {
  ...ddpmSchedule,
  prediction_type: 'epsilon',
  timestep_spacing: 'linspace',
  steps_offset: 0,
  solver_order: 2,
  lower_order_final: true,
  euler_at_final: false,
  use_karras_sigmas: false,
  final_sigmas_type: 'zero',
  lambda_min_clipped: Number.NEGATIVE_INFINITY,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

export interface DpmSolverOptions {
  readonly steps: number;
  /** Images in a batch; only dynamic thresholding, which works image by image, needs to know. */
  readonly batchSize?: number;
}

/**
 * Throws UsageError for a number of steps that the schedule does not have, InputError for a solver_order that is
 * not here.
 */
export function dpmSolverSampler(
  config: Partial<DpmSolverConfig>,
  { steps, batchSize = 1 }: DpmSolverOptions,
): SigmaSampler {
  const full = { ...dpmSolverDefaults, ...config };
  const { prediction_type, solver_order, final_sigmas_type } = full;
  checkSteps(steps, full.num_train_timesteps);
  if (solver_order !== 1 && solver_order !== 2) {
    throw new InputError(
      `scheduler config: solver_order ${solver_order} is not supported; supported: 1 or 2`,
    );
  }
  const clipping: ClippingConfig = { ...full, clip_sample: false, clip_sample_range: 1 };
  const { timesteps, sigmas } = timestepsAndSigmas(full, steps);
  const last = timesteps.length - 1;
  const firstOrderAtEnd =
    full.euler_at_final || (full.lower_order_final && timesteps.length < 15) || final_sigmas_type === 'zero';
  const levels = Array.from(sigmas, levelOf);
  let previous: Float32Array | undefined; // x̂_0 of the step before

  return {
    timesteps,
    sigmas,
    initNoiseSigma: 1,
    addNoise: (original, noise, i) => weightedSum(levels[i]!.alpha, original, levels[i]!.sigma, noise),
    scaleModelInput: (sample) => sample,
    step(modelOutput, i, sample) {
      const [from, to] = [levels[i]!, levels[i + 1]!];
      const original = predictedOriginal(prediction_type, modelOutput, sample, from.alpha, from.sigma);
      const denoised = clip(clipping, original, batchSize);

      const h = to.lambda - from.lambda;
      let integrand = denoised;
      if (solver_order === 2 && previous !== undefined && !(i === last && firstOrderAtEnd)) {
        const extrapolation = (0.5 * h) / (from.lambda - levels[i - 1]!.lambda);
        integrand = weightedSum(1 + extrapolation, denoised, -extrapolation, previous);
      }
      previous = denoised;
      const gain = -to.alpha * Math.expm1(-h);
      return { sample: weightedSum(to.sigma / from.sigma, sample, gain, integrand), denoised };
    },
  };
}

interface Level {
  readonly alpha: number;
  readonly sigma: number;
  readonly lambda: number;
}

/** α, σ and λ at σ̃ = σ / α. */
function levelOf(sigma: number): Level {
  const alpha = 1 / Math.sqrt(sigma ** 2 + 1);
  return { alpha, sigma: sigma * alpha, lambda: -Math.log(sigma) };
}

function timestepsAndSigmas(
  config: DpmSolverConfig,
  steps: number,
): { timesteps: number[]; sigmas: Float32Array } {
  const schedule = withFiniteSigmas(noiseSchedule(config));
  const table = sigmaTable(schedule);
  const end = finalSigma(config.final_sigmas_type, table);
  if (config.use_karras_sigmas) {
    const levels = karrasSigmas(table[0]!, table.at(-1)!, steps);
    const exact = levels.map((sigma) => timestepAt(table, sigma));
    // diffusers rounds here except for the cosine schedule, and truncates there.
    const round = config.beta_schedule === 'squaredcos_cap_v2' ? Math.trunc : roundHalfToEven;
    return { timesteps: exact.map(round), sigmas: Float32Array.of(...levels, end) };
  }
  const timesteps = spacedTimesteps(config, steps, visitedTimesteps(schedule, config.lambda_min_clipped));
  return { timesteps, sigmas: Float32Array.of(...timesteps.map((t) => sigmaAt(table, t)), end) };
}

/** How many timesteps from 0 on have λ at or above the minimum. */
function visitedTimesteps({ alphas, sigmas, length }: NoiseSchedule, lambdaMin: number): number {
  const lambdas = alphas.map((alpha, t) => Math.fround(Math.log(alpha)) - Math.fround(Math.log(sigmas[t]!)));
  return length - lambdas.filter((lambda) => lambda < lambdaMin).length;
}

/** Like the other samplers' timesteps, but the one at the clean end is where the last step goes. */
function spacedTimesteps(config: DpmSolverConfig, steps: number, visited: number): number[] {
  const { num_train_timesteps: length, timestep_spacing, steps_offset } = config;
  switch (timestep_spacing) {
    case 'linspace':
      return linspaceDescending(visited - 1, steps + 1)
        .slice(0, -1)
        .map(roundHalfToEven);
    case 'trailing':
      return trailingTimesteps(visited, length, steps);
    case 'leading':
      return leadingTimesteps(Math.floor(visited / (steps + 1)), steps + 1, steps_offset).slice(0, -1);
  }
}
