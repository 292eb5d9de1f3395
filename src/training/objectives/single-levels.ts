/** Levels of noise for objectives that look at one at a time: a diffusion model's, and distillation of outputs. */
import type { Level } from '../../diffusion/affine.ts';
import type { NoiseSchedule } from '../../diffusion/noise-schedule.ts';
import type { Generator } from '../../random/generator.ts';
import type { PredictionType } from './diffusion.ts';
import { type LogNormal, logNormalWithin, type SigmaLevels } from './sigma-pairs.ts';
import { levelAt, type TimePair, type TimePairs } from './time-pairs.ts';
import { sampleTimesteps } from './timestep-sampling.ts';

export interface SingleLevelOptions {
  /** What a level's loss counts. */
  readonly weight: (level: Level) => number;
  /** The fraction of samples that see pure noise, where sampling starts. */
  readonly pureNoise: number;
}

/** All timesteps alike. */
export function uniformLevels(schedule: NoiseSchedule, options: SingleLevelOptions): TimePairs {
  const evenly = { tilt: 0, from: 0, to: 0, importanceWeights: false, pureNoise: options.pureNoise };
  return {
    draw: (random, batch) =>
      sampleTimesteps(random, batch, schedule.length, evenly).map(({ t, pureNoise }) =>
        single(levelAt(schedule, t), 1 + Math.floor((5 * t) / schedule.length), pureNoise, options),
      ),
  };
}

/** σ of a log-normal distribution (Karras et al. 2022, table 1). */
export function logNormalLevels(
  levels: SigmaLevels,
  density: LogNormal,
  options: SingleLevelOptions,
): TimePairs {
  const drawn = (random: Generator, noiseOnly: boolean): TimePair => {
    const level = levels.at(noiseOnly ? levels.max : logNormalWithin(random, density, levels));
    return single(level, levels.fifth(level), noiseOnly, options);
  };
  return {
    draw: (random, batch) => Array.from(random.uniform(batch), (u) => drawn(random, u < options.pureNoise)),
  };
}

function single(level: Level, fifth: number, pureNoise: boolean, { weight }: SingleLevelOptions): TimePair {
  return {
    start: level,
    end: level,
    between: [],
    pureNoise,
    weight: pureNoise ? 1 : weight(level),
    group: `fifth_${fifth}`,
  };
}

/**
 * min(SNR, γ) of the error in x_0 (Hang et al. 2023, section 3.4), as a weight of the prediction's: over SNR for noise,
 * over SNR + 1 for the velocity.
 */
export function minSnrWeight(type: PredictionType, gamma: number): SingleLevelOptions['weight'] {
  return ({ alpha, sigma }) => {
    const snr = (alpha / sigma) ** 2;
    return Math.min(snr, gamma) / (type === 'epsilon' ? snr : snr + 1);
  };
}
