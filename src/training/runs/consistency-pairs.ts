/** From settings to the mathematics of a consistency training: pairs of levels, the solver between them, the distance. */
import { type Solver, solverNamed } from '../../diffusion/affine.ts';
import type { NoiseSchedule } from '../../diffusion/noise-schedule.ts';
import { skippingGrid } from '../../diffusion/skipping-grid.ts';
import { UsageError } from '../../errors.ts';
import { elementCount, type Shape } from '../../graph/shape.ts';
import type { ConsistencyDistance } from '../objectives/consistency.ts';
import type { PredictionType } from '../objectives/diffusion.ts';
import { improvedPairs, scheduleLevels, tuningPairs } from '../objectives/sigma-pairs.ts';
import { logNormalLevels, minSnrWeight, uniformLevels } from '../objectives/single-levels.ts';
import { gridPairs, middleTimestep, type TimePairs } from '../objectives/time-pairs.ts';
import type { DistillationRunConfig } from './distillation-config.ts';

/** Throws UsageError for a grid that the schedule does not have, and for more sub-steps than it has timesteps. */
export function pairsOf(
  { pairs, steps, gridSize, pureNoise, substeps, minSnrGamma }: DistillationRunConfig,
  schedule: NoiseSchedule,
  predictionType: PredictionType,
): TimePairs {
  const { kind, mean, deviation, firstIntervals: first, lastIntervals: last, stages, ratio } = pairs;
  const sigmas = { density: { mean, deviation }, steps, pureNoise };
  const weight = minSnrGamma === null ? () => 1 : minSnrWeight(predictionType, minSnrGamma);
  const single = { weight, pureNoise };
  switch (kind) {
    case 'grid': {
      const grid = skippingGrid(gridSize, schedule.length);
      const most = Math.max(1, grid.skip - 1);
      if (substeps > most) {
        throw new UsageError(
          `the setting "substeps" is ${substeps}; a grid of ${gridSize} skips ${grid.skip} timesteps, expected at most ${most}`,
        );
      }
      return gridPairs(schedule, grid, { pureNoise, substeps });
    }
    case 'karras':
      return improvedPairs(scheduleLevels(schedule), { ...sigmas, intervals: { first, last } });
    case 'continuous':
      return tuningPairs(scheduleLevels(schedule), { ...sigmas, stages, ratio });
    case 'uniform':
      return uniformLevels(schedule, single);
    case 'lognormal':
      return logNormalLevels(scheduleLevels(schedule), sigmas.density, single);
  }
}

/** How the teacher steps back; undefined where the data do. */
export function solverOf(
  { stepBack, solver, substeps }: DistillationRunConfig,
  schedule: NoiseSchedule,
): { readonly solver: Solver; readonly substeps: number } | undefined {
  if (stepBack === 'data') return undefined;
  return { solver: solverNamed(solver, middleTimestep(schedule)), substeps };
}

/** shape: of one sample. */
export function distanceOf(
  { distance: { kind, c } }: Pick<DistillationRunConfig, 'distance'>,
  shape: Shape,
): ConsistencyDistance {
  switch (kind) {
    case 'l2':
    case 'l1':
      return { kind };
    case 'huber':
      return { kind, c: c! };
    case 'huber-sample':
      return { kind, c: c ?? pseudoHuberOf(elementCount(shape)) };
  }
}

/** c of the pseudo-Huber distance of samples of so many elements (Song and Dhariwal 2023, section 3.3). */
export function pseudoHuberOf(elements: number): number {
  return 0.00054 * Math.sqrt(elements);
}
