/**
 * Which two levels of noise a consistency training compares: the student stands at the noisier one, its target at the
 * other, on one trajectory.
 */
import { type Between, type Level, logSnr } from '../../diffusion/affine.ts';
import type { NoiseSchedule } from '../../diffusion/noise-schedule.ts';
import type { SkippingGrid } from '../../diffusion/skipping-grid.ts';
import type { Generator } from '../../random/generator.ts';

export interface TimePair {
  readonly start: Level;
  readonly end: Level;
  /** Levels between the two, from `start` on, at which a solver may take sub-steps; none for pairs without a teacher. */
  readonly between: readonly Level[];
  /** What the sample's loss counts. */
  readonly weight: number;
  /** The sample at `start` is noise alone, as sampling begins, whatever signal the schedule leaves there. */
  readonly pureNoise: boolean;
  /** For reports: losses are averaged by group. */
  readonly group: string;
}

export interface TimePairs {
  /** Pairs for the batch of update `step`. */
  draw(random: Generator, batch: number, step: number): TimePair[];
}

/** A timestep of a schedule as a level of noise, in float64. */
export function levelAt({ alphasCumprod, length }: NoiseSchedule, t: number): Level {
  const alphaCumprod = alphasCumprod[t];
  if (alphaCumprod === undefined) throw new RangeError(`timestep ${t}: the schedule has 0 to ${length - 1}`);
  return { t, alpha: Math.sqrt(alphaCumprod), sigma: Math.sqrt(1 - alphaCumprod) };
}

/** The timestep nearest to the middle of two levels over λ = ln(α/σ). */
export function middleTimestep(schedule: NoiseSchedule): Between {
  return (from, to) => {
    const middle = (logSnr(from) + logSnr(to)) / 2;
    const count = Math.max(0, Math.ceil(from.t) - Math.floor(to.t) - 1);
    const inner = Array.from({ length: count }, (_, i) => levelAt(schedule, Math.floor(to.t) + 1 + i));
    const distance = (level: Level) => Math.abs(logSnr(level) - middle);
    return inner.reduce<Level | undefined>(
      (best, level) => (best && distance(best) <= distance(level) ? best : level),
      undefined,
    );
  };
}

export interface GridPairOptions {
  /** The fraction of samples that start from pure noise at the end of the grid, where sampling starts. */
  readonly pureNoise: number;
  /** Steps of the solver from one grid point to the one before it. */
  readonly substeps: number;
}

/** Neighbours on the skipping grid, all alike (Luo et al. 2023, algorithm 1): t_{n+k} and t_n. */
export function gridPairs(
  schedule: NoiseSchedule,
  grid: SkippingGrid,
  { pureNoise, substeps }: GridPairOptions,
): TimePairs {
  return {
    draw(random, batch) {
      const drawn = random.randint(grid.size, batch);
      const noiseOnly = Array.from(random.uniform(batch), (u) => u < pureNoise);
      return Array.from(drawn, (index, i) =>
        gridPair(schedule, grid, {
          index: noiseOnly[i] ? grid.size - 1 : index,
          pureNoise: noiseOnly[i]!,
          substeps,
        }),
      );
    },
  };
}

/** The pair of grid points `index` + 1 and `index`. */
export function gridPair(
  schedule: NoiseSchedule,
  grid: SkippingGrid,
  { index, pureNoise = false, substeps = 1 }: { index: number; pureNoise?: boolean; substeps?: number },
): TimePair {
  const [from, to] = [grid.t(index + 1), grid.t(index)];
  const inner = Array.from({ length: substeps - 1 }, (_, i) => from - ((from - to) * (i + 1)) / substeps);
  return {
    start: levelAt(schedule, from),
    end: levelAt(schedule, to),
    between: inner.map((t) => levelAt(schedule, Math.round(t))),
    weight: 1,
    pureNoise,
    group: `fifth_${1 + Math.floor((5 * index) / grid.size)}`,
  };
}
