/**
 * Noise levels and scalings of Karras et al. 2022 and of the consistency models that stand on them (Song et al. 2023):
 * x̃ = x_0 + σ ε, with σ from almost none to far more than the data's deviation σ_d.
 */

/** D(x̃, σ) = c_skip x̃ + c_out F(c_in x̃, c_noise), the denoiser's x̂_0 from a network F. */
export interface DenoiserScalings {
  readonly cSkip: number;
  readonly cOut: number;
  readonly cIn: number;
  /** What the network is told of σ. */
  readonly cNoise: number;
  /** What the squared error of D counts, so that every σ does alike. */
  readonly lossWeight: number;
}

/** Karras et al. 2022, table 1. */
export function denoiserScalings(sigma: number, sigmaData: number): DenoiserScalings {
  const total = sigma ** 2 + sigmaData ** 2;
  return {
    cSkip: sigmaData ** 2 / total,
    cOut: (sigma * sigmaData) / Math.sqrt(total),
    cIn: 1 / Math.sqrt(total),
    cNoise: Math.log(sigma) / 4,
    lossWeight: total / (sigma * sigmaData) ** 2,
  };
}

/** f(x̃, σ) = c_skip x̃ + c_out F with f(x̃, σ_min) = x̃ (Song et al. 2023, appendix C). */
export function consistencyScalings(
  sigma: number,
  sigmaMin: number,
  sigmaData: number,
): Pick<DenoiserScalings, 'cSkip' | 'cOut'> {
  const above = sigma - sigmaMin;
  return {
    cSkip: sigmaData ** 2 / (above ** 2 + sigmaData ** 2),
    cOut: (sigmaData * above) / Math.sqrt(sigma ** 2 + sigmaData ** 2),
  };
}

/** `count` levels from the smallest to the largest, evenly in σ^(1/7) (Karras et al. 2022, equation 5). */
export function karrasSigmas(min: number, max: number, count: number): number[] {
  const [from, to] = [min ** (1 / 7), max ** (1 / 7)];
  return Array.from({ length: count }, (_, i) => (from + (i / (count - 1)) * (to - from)) ** 7);
}
