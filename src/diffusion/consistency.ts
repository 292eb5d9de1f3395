/**
 * The boundary scalings of the consistency function f(x_t, t) = c_skip(t) x_t + c_out(t) x̂_0
 * (Luo et al. 2023, section 4.1; after Song et al. 2023, eq. 5), which make f(x, 0) = x.
 */

export interface BoundaryScalings {
  readonly cSkip: number;
  readonly cOut: number;
}

/**
 * c_skip = σ_d² / ((s t)² + σ_d²), c_out = s t / √((s t)² + σ_d²).
 * c_out has no factor σ_d, unlike Song et al.'s: that is what published latent consistency models were
 * distilled with. In float64, because (10 t)² overflows half precision.
 * @param t timestep, 0 to T − 1 @param timestepScaling s @param sigmaData σ_d
 */
export function boundaryScalings(t: number, timestepScaling = 10, sigmaData = 0.5): BoundaryScalings {
  const scaled = t * timestepScaling;
  const total = scaled ** 2 + sigmaData ** 2;
  return { cSkip: sigmaData ** 2 / total, cOut: scaled / Math.sqrt(total) };
}
