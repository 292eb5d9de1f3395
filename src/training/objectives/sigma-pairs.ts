/**
 * Pairs of noise levels on Karras et al.'s scale, for consistency training on data alone: improved consistency training
 * (Song and Dhariwal 2023) and easy consistency tuning (Geng et al. 2024). Levels σ are those of the papers, whose
 * data have the deviation 0.5.
 */
import type { Level } from '../../diffusion/affine.ts';
import { karrasSigmas } from '../../diffusion/karras.ts';
import type { NoiseSchedule } from '../../diffusion/noise-schedule.ts';
import { sigmaTable, timestepAt, withFiniteSigmas } from '../../diffusion/samplers/sigmas.ts';
import type { Generator } from '../../random/generator.ts';
import type { TimePair, TimePairs } from './time-pairs.ts';

/** The deviation of the papers' data, in which their σ are told. */
export const PAPER_SIGMA_DATA = 0.5;

/** The levels that a model knows. */
export interface SigmaLevels {
  /** The smallest and the largest σ. */
  readonly min: number;
  readonly max: number;
  /** σ as the model sees it; 0 is the clean data. */
  at(sigma: number): Level;
  /** For reports: levels are counted in fifths. */
  fifth(level: Level): number;
}

/** Largest σ of the papers: schedules that end on noise alone have none. */
const LARGEST = 80;

/**
 * The levels of a schedule for latents of unit variance. Timesteps lie between the schedule's own where σ does; what is
 * less than timestep 0's noise is clean data.
 */
export function scheduleLevels(schedule: NoiseSchedule): SigmaLevels {
  const table = sigmaTable(withFiniteSigmas(schedule));
  const timestep = timestepAt(table);
  const least = table[0]! * PAPER_SIGMA_DATA;
  return {
    min: least,
    max: Math.min(table.at(-1)! * PAPER_SIGMA_DATA, LARGEST),
    at(sigma) {
      // The smallest Karras level is a rounding away from the table's.
      if (sigma < least * (1 - 1e-6)) return { t: 0, alpha: 1, sigma: 0 };
      const ratio = sigma / PAPER_SIGMA_DATA;
      const alpha = 1 / Math.sqrt(1 + ratio ** 2);
      return { t: timestep(ratio), alpha, sigma: ratio * alpha };
    },
    fifth: ({ t }) => 1 + Math.floor((5 * t) / schedule.length),
  };
}

/** ln σ ~ N(mean, deviation²): where σ are drawn. */
export interface LogNormal {
  readonly mean: number;
  readonly deviation: number;
}

export interface ImprovedPairsOptions {
  /** Intervals between levels at the beginning and at the end; they double. Papers: 10 and 1280. */
  readonly intervals: { readonly first: number; readonly last: number };
  readonly density: LogNormal;
  /** Updates of the whole training. */
  readonly steps: number;
  /** The fraction of samples that start from pure noise at the largest level, where sampling starts. */
  readonly pureNoise: number;
}

/**
 * Neighbours among N(k) levels (Song and Dhariwal 2023, section 3.4 and 3.5): the lower one drawn from a discretised
 * log-normal distribution, the loss counted 1/(σ_{i+1} − σ_i).
 */
export function improvedPairs(levels: SigmaLevels, options: ImprovedPairsOptions): TimePairs {
  const { intervals, density, steps, pureNoise } = options;
  const grids = new Map<number, { sigmas: number[]; cumulative: number[] }>();
  const grid = (count: number) => {
    const known = grids.get(count);
    if (known) return known;
    const sigmas = karrasSigmas(levels.min, levels.max, count);
    let total = 0;
    const cumulative = levelProbabilities(sigmas, density).map((p) => {
      total += p;
      return total;
    });
    grids.set(count, { sigmas, cumulative });
    return { sigmas, cumulative };
  };
  return {
    draw(random, batch, step) {
      const { sigmas, cumulative } = grid(levelCount(step, steps, intervals));
      const last = sigmas.length - 2;
      const drawn = random.uniform64(batch);
      const noiseOnly = random.uniform(batch);
      return Array.from(drawn, (u, i) => {
        const isNoise = noiseOnly[i]! < pureNoise;
        const found = cumulative.findIndex((share) => u < share);
        const index = isNoise || found === -1 ? last : found;
        return pairOf(levels, sigmas[index + 1]!, sigmas[index]!, isNoise);
      });
    },
  };
}

/** P(i) of the level pairs (σ_i, σ_{i+1}) (Song and Dhariwal 2023, equation 10). */
export function levelProbabilities(
  sigmas: readonly number[],
  { mean, deviation }: LogNormal,
): readonly number[] {
  const at = sigmas.map((sigma) => erf((Math.log(sigma) - mean) / (Math.SQRT2 * deviation)));
  const shares = at.slice(1).map((value, i) => value - at[i]!);
  const total = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share) => share / total);
}

/** N(k), levels at update k of `steps` (Song and Dhariwal 2023, equation 8). */
export function levelCount(
  k: number,
  steps: number,
  { first, last }: ImprovedPairsOptions['intervals'],
): number {
  const each = Math.max(1, Math.floor(steps / (Math.log2(Math.floor(last / first)) + 1)));
  return Math.min(first * 2 ** Math.floor(k / each), last) + 1;
}

export interface TuningPairsOptions {
  /** Stages of equal length; every one shrinks the gap by `ratio`. */
  readonly stages: number;
  /** q. */
  readonly ratio: number;
  readonly density: LogNormal;
  readonly steps: number;
  readonly pureNoise: number;
}

/**
 * Any level t and r(t) below it, nearer stage by stage, from clean data on (Geng et al. 2024, section 3.2); the loss
 * counted 1/(t − r).
 */
export function tuningPairs(levels: SigmaLevels, options: TuningPairsOptions): TimePairs {
  const { stages, ratio, density, steps, pureNoise } = options;
  return {
    draw(random, batch, step) {
      const stage = Math.min(stages - 1, Math.floor((stages * step) / steps));
      const noiseOnly = random.uniform(batch);
      return Array.from(noiseOnly, (u) => {
        const isNoise = u < pureNoise;
        const t = isNoise ? levels.max : logNormalWithin(random, density, levels);
        return pairOf(levels, t, earlierSigma(t, stage, ratio), isNoise);
      });
    },
  };
}

/** r of t (Geng et al. 2024, equation 12, with k = 8 and b = 1); 0 is clean data. */
export function earlierSigma(t: number, stage: number, ratio: number): number {
  const n = 1 + 8 / (1 + Math.exp(t));
  return Math.max(0, t * (1 - n / ratio ** (stage + 1)));
}

/** A σ of the levels' range. */
export function logNormalWithin(
  random: Generator,
  { mean, deviation }: LogNormal,
  { min, max }: SigmaLevels,
): number {
  for (;;) {
    const sigma = Math.exp(mean + deviation * random.normal64(1)[0]!);
    if (sigma >= min && sigma <= max) return sigma;
  }
}

function pairOf(levels: SigmaLevels, from: number, to: number, pureNoise: boolean): TimePair {
  const start = levels.at(from);
  return {
    start,
    end: levels.at(to),
    between: [],
    weight: 1 / (from - to),
    pureNoise,
    group: `fifth_${levels.fifth(start)}`,
  };
}

/** The error function, to the last digits: e^(−x²) Σ 2ⁿ x^(2n+1) / (2n+1)!!, all of one sign. */
export function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let term = x;
  let sum = x;
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(sum); n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
