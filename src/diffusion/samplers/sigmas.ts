/**
 * The noise level in units of the data, σ̃ = σ / α, in which Karras et al. (2022) write the ODE. Solvers that
 * work in it choose levels and ask which timestep the network was trained to see there.
 */
import { type NoiseSchedule, scheduleOfAlphasCumprod } from '../noise-schedule.ts';

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

/** `count` levels from `max` to `min`, evenly spread in σ̃^(1/7) (Karras et al. 2022, eq. 5). */
export function karrasSigmas(min: number, max: number, count: number): number[] {
  const rho = 7;
  const [from, to] = [max ** (1 / rho), min ** (1 / rho)];
  const step = count > 1 ? (to - from) / (count - 1) : 0;
  return Array.from({ length: count }, (_, i) => (from + i * step) ** rho);
}

/** The fractional timestep with noise level `sigma`, linear in log σ̃ between the two nearest. */
export function timestepAt(table: Float32Array, sigma: number): number {
  const log = Math.log(Math.max(sigma, 1e-10));
  const logs = table.map(Math.log);
  const found = logs.findLastIndex((value) => value <= log);
  const below = Math.min(Math.max(found, 0), logs.length - 2);
  const [low, high] = [logs[below]!, logs[below + 1]!];
  const weight = Math.min(Math.max((low - log) / (low - high), 0), 1);
  return below + weight;
}

/** The level at which the last step ends. */
export function finalSigma(type: FinalSigmaType, table: Float32Array): number {
  return type === 'zero' ? 0 : table[0]!;
}
