/**
 * The noise level in units of the data, σ̃ = σ / α, in which Karras et al. (2022) write the ODE. Solvers that
 * work in it choose levels and ask which timestep the network was trained to see there.
 */
import { InputError } from '../../errors.ts';
import { type NoiseSchedule, scheduleOfAlphasCumprod } from '../noise-schedule.ts';
import { symmetricBetaQuantile } from './beta-distribution.ts';

export const finalSigmaTypes = ['zero', 'sigma_min'] as const;
/** Where the last step ends: at no noise, or at the noise of timestep 0. */
export type FinalSigmaType = (typeof finalSigmaTypes)[number];

/** The schedule with ᾱ kept above zero at its end (by float16's smallest number), so that σ̃ stays finite. */
export function withFiniteSigmas(schedule: NoiseSchedule): NoiseSchedule {
  if (schedule.alphasCumprod.at(-1) !== 0) return schedule;
  return scheduleOfAlphasCumprod(schedule.betas, schedule.alphasCumprod.with(-1, 2 ** -24));
}

/** σ̃_t = √((1 − ᾱ_t) / ᾱ_t) for every training timestep, ascending, [T]. */
export function sigmaTable({ alphasCumprod }: NoiseSchedule): Float32Array {
  return alphasCumprod.map((a) => Math.sqrt(Math.fround(Math.fround(1 - a) / a)));
}

/** The table at a fractional timestep, linear in between. */
export function sigmaAt(table: Float32Array, timestep: number): number {
  const below = Math.min(Math.floor(timestep), table.length - 1);
  const low = table[below]!;
  const high = table[below + 1] ?? low;
  return low + (high - low) * (timestep - below);
}

/** How noise levels are spread where they are not those of evenly spread timesteps; at most one of the three. */
export interface SigmaSpreadConfig {
  /** Evenly in σ̃^(1/7) (Karras et al. 2022, eq. 5). */
  readonly use_karras_sigmas: boolean;
  /** Evenly in log σ̃. */
  readonly use_exponential_sigmas: boolean;
  /** By quantiles of the beta distribution with α = β = 0.6: densely at both ends (Lee et al. 2024). */
  readonly use_beta_sigmas: boolean;
  /** Their ends; where null, those that the sampler has otherwise. */
  readonly sigma_min: number | null;
  readonly sigma_max: number | null;
}

export const noSigmaSpread: SigmaSpreadConfig = {
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  sigma_min: null,
  sigma_max: null,
};

const spreadNames = ['use_karras_sigmas', 'use_exponential_sigmas', 'use_beta_sigmas'] as const;

const spreads: Readonly<
  Record<(typeof spreadNames)[number], (min: number, max: number, count: number) => number[]>
> = {
  use_karras_sigmas: (min, max, count) => even(max ** (1 / 7), min ** (1 / 7), count).map((x) => x ** 7),
  use_exponential_sigmas: (min, max, count) => even(Math.log(max), Math.log(min), count).map(Math.exp),
  use_beta_sigmas: (min, max, count) =>
    even(1, 0, count).map((share) => min + symmetricBetaQuantile(0.6, share) * (max - min)),
};

/** `count` numbers from `from` to `to`; a single one is `from`. */
function even(from: number, to: number, count: number): number[] {
  const step = count > 1 ? (to - from) / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => from + i * step);
}

/**
 * `count` levels from the largest to the smallest as the configuration spreads them; undefined where they are those of
 * timesteps. min, max: the ends where it does not name them. Throws InputError for two spreads at once.
 */
export function spreadSigmas(
  config: SigmaSpreadConfig,
  { min, max, count }: { readonly min: number; readonly max: number; readonly count: number },
): number[] | undefined {
  const names = spreadNames.filter((name) => config[name]);
  if (names.length > 1) {
    throw new InputError(
      `scheduler config: ${names.join(' and ')} are both true; expected one of them at most`,
    );
  }
  const [name] = names;
  if (name === undefined) return undefined;
  return spreads[name](config.sigma_min ?? min, config.sigma_max ?? max, count);
}

/** From noise levels to fractional timesteps, linear in log σ̃ between the two nearest of the table. */
export function timestepAt(table: Float32Array): (sigma: number) => number {
  const logs = table.map(Math.log);
  return (sigma) => {
    const log = Math.log(Math.max(sigma, 1e-10));
    let found = logs.length - 1;
    while (found > 0 && !(logs[found]! <= log)) found--;
    const below = Math.min(found, logs.length - 2);
    const [low, high] = [logs[below]!, logs[below + 1]!];
    const weight = Math.min(Math.max((low - log) / (low - high), 0), 1);
    return below + weight;
  };
}

/** The level at which the last step ends, where `min` is the smallest. */
export function finalSigma(type: FinalSigmaType, min: number): number {
  return type === 'zero' ? 0 : min;
}
