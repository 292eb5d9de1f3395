/**
 * What the multistep solvers that integrate in λ = log(α / σ) share: the timesteps and noise levels that diffusers
 * chooses for them, and the sample x = α x_0 + σ ε itself, with nothing to scale.
 */
import { weightedSum } from '../elementwise.ts';
import { type NoiseSchedule, type NoiseScheduleConfig, noiseSchedule } from '../noise-schedule.ts';
import type { SigmaSampler } from './sampler.ts';
import {
  type FinalSigmaType,
  finalSigma,
  type SigmaSpreadConfig,
  sigmaAt,
  sigmaTable,
  spreadSigmas,
  timestepAt,
  withFiniteSigmas,
} from './sigmas.ts';
import {
  leadingTimesteps,
  linspaceDescending,
  roundHalfToEven,
  type TimestepSpacing,
  trailingTimesteps,
} from './timestep-spacing.ts';

export interface LogSnrSpaceConfig extends NoiseScheduleConfig, SigmaSpreadConfig {
  readonly timestep_spacing: TimestepSpacing;
  readonly steps_offset: number;
  readonly final_sigmas_type: FinalSigmaType;
  /** Timesteps with a smaller λ are not visited; by default all are. */
  readonly lambda_min_clipped?: number;
}

/** α, σ and λ at a noise level. At no noise λ is infinite. */
export interface Level {
  readonly alpha: number;
  readonly sigma: number;
  readonly lambda: number;
}

type LogSnrClass = 'dpm-solver' | 'dpm-solver-singlestep' | 'unipc';

interface LogSnrSpace
  extends Pick<
    SigmaSampler,
    'timesteps' | 'sigmas' | 'initNoiseSigma' | 'passesPerStep' | 'addNoise' | 'scaleModelInput'
  > {
  /** One for each step, and the one at which the last step ends. */
  readonly levels: readonly Level[];
}

/**
 * `like`: which class is followed where diffusers' differ over spread levels. All but DPM-Solver's multistep round the
 * timesteps of Karras' for the cosine schedule, too; with final_sigmas_type sigma_min UniPC ends at the smallest level,
 * not at timestep 0's.
 */
export function logSnrSpace(config: LogSnrSpaceConfig, steps: number, like: LogSnrClass): LogSnrSpace {
  const { timesteps, sigmas } = timestepsAndSigmas(config, steps, like);
  const levels = Array.from(sigmas, levelOf);
  return {
    timesteps,
    sigmas,
    levels,
    initNoiseSigma: 1,
    passesPerStep: 1,
    addNoise: (original, noise, i) => weightedSum(levels[i]!.alpha, original, levels[i]!.sigma, noise),
    scaleModelInput: (sample) => sample,
  };
}

/** At σ̃ = σ / α. */
function levelOf(sigma: number): Level {
  const alpha = 1 / Math.sqrt(sigma ** 2 + 1);
  return { alpha, sigma: sigma * alpha, lambda: -Math.log(sigma) };
}

function timestepsAndSigmas(
  config: LogSnrSpaceConfig,
  steps: number,
  like: LogSnrClass,
): { timesteps: number[]; sigmas: Float32Array } {
  const schedule = withFiniteSigmas(noiseSchedule(config));
  const table = sigmaTable(schedule);
  const spread = spreadSigmas(config, { min: table[0]!, max: table.at(-1)!, count: steps });
  if (spread !== undefined) {
    const exact = spread.map(timestepAt(table));
    // diffusers rounds Karras' only, and truncates elsewhere.
    const rounds =
      config.use_karras_sigmas && (like !== 'dpm-solver' || config.beta_schedule !== 'squaredcos_cap_v2');
    const timesteps = exact.map(rounds ? roundHalfToEven : Math.trunc);
    const end = finalSigma(config.final_sigmas_type, like === 'unipc' ? spread.at(-1)! : table[0]!);
    return { timesteps, sigmas: Float32Array.of(...spread, end) };
  }
  const timesteps = spacedTimesteps(config, steps, visitedTimesteps(schedule, config.lambda_min_clipped));
  const end = finalSigma(config.final_sigmas_type, table[0]!);
  return { timesteps, sigmas: Float32Array.of(...timesteps.map((t) => sigmaAt(table, t)), end) };
}

/** How many timesteps from 0 on have λ at or above the minimum. */
function visitedTimesteps(
  { alphas, sigmas, length }: NoiseSchedule,
  lambdaMin = Number.NEGATIVE_INFINITY,
): number {
  const lambdas = alphas.map((alpha, t) => Math.fround(Math.log(alpha)) - Math.fround(Math.log(sigmas[t]!)));
  return length - lambdas.filter((lambda) => lambda < lambdaMin).length;
}

/** Like the other samplers' timesteps, but the one at the clean end is where the last step goes. */
function spacedTimesteps(config: LogSnrSpaceConfig, steps: number, visited: number): number[] {
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
