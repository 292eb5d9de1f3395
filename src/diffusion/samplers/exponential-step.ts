/**
 * A step of DPM-Solver++ (Lu et al. 2022b, eq. 9 and 13): in λ = log(α / σ) the linear part of the ODE, or of the SDE with
 * the same marginals, is solved exactly, and x̂_0 is integrated as a polynomial in λ.
 */
import { weightedSum } from '../elementwise.ts';
import type { Level } from './log-snr-space.ts';

export const dpmSolverAlgorithms = ['dpmsolver++', 'sde-dpmsolver++'] as const;
/** The probability flow ODE, or the SDE, whose steps draw noise. */
export type DpmSolverAlgorithm = (typeof dpmSolverAlgorithms)[number];

/** Where a step comes to that takes x̂_0 for `original`. noise: standard normals, drawn for the SDE. */
export function exponentialStep(
  algorithm: DpmSolverAlgorithm,
  { from, to }: { readonly from: Level; readonly to: Level },
  sample: Float32Array,
  original: Float32Array,
  noise: () => Float32Array,
): Float32Array {
  const h = to.lambda - from.lambda;
  const ratio = to.sigma / from.sigma;
  if (algorithm === 'dpmsolver++') {
    return weightedSum(ratio, sample, -to.alpha * Math.expm1(-h), original);
  }
  const mean = weightedSum(ratio * Math.exp(-h), sample, -to.alpha * Math.expm1(-2 * h), original);
  return weightedSum(1, mean, to.sigma * Math.sqrt(-Math.expm1(-2 * h)), noise());
}

/**
 * How much x̂_0's slope and curvature over a step of length `h`, in units of it, add to x̂_0 at its beginning, so that
 * the step takes account of them (Lu et al. 2022a, appendix B.4).
 */
export function polynomialTerms(
  algorithm: DpmSolverAlgorithm,
  h: number,
): { readonly slope: number; readonly curvature: number } {
  const decay = algorithm === 'dpmsolver++' ? h : 2 * h;
  const share = -Math.expm1(-decay);
  // For the SDE the half belongs to be added, too. diffusers subtracts it, and so it is done here, for equal pictures.
  const half = algorithm === 'dpmsolver++' ? 0.5 : -0.5;
  return {
    slope: (1 - share / decay) / share,
    curvature: ((share - decay) / decay ** 2 + half) / share,
  };
}
