/** The element-wise part of AdamW over one block of parameters. */

export interface AdamWConstants {
  /** Factor of clipping. */
  readonly gradientScale: number;
  /** 1 − learning rate · weight decay. */
  readonly keep: number;
  readonly beta1: number;
  readonly beta2: number;
  /** learning rate / (1 − β₁ᵗ). */
  readonly stepSize: number;
  /** 1 / √(1 − β₂ᵗ). */
  readonly secondMomentScale: number;
  readonly epsilon: number;
}

/** Updates parameters `p`, first moments `m` and second moments `v` in place from the gradient `g`. */
export type AdamWKernel = (
  p: Float32Array,
  g: Float32Array,
  m: Float32Array,
  v: Float32Array,
  constants: AdamWConstants,
) => void;

/** The specification: what every faster kernel must agree with. */
export const plainAdamWKernel: AdamWKernel = (p, g, m, v, constants) => {
  const { gradientScale, keep, beta1, beta2, stepSize, secondMomentScale, epsilon } = constants;
  for (let i = 0; i < p.length; i++) {
    const gradient = g[i]! * gradientScale;
    const first = beta1 * m[i]! + (1 - beta1) * gradient;
    const second = beta2 * v[i]! + (1 - beta2) * gradient * gradient;
    m[i] = first;
    v[i] = second;
    p[i] = keep * p[i]! - (stepSize * first) / (Math.sqrt(second) * secondMomentScale + epsilon);
  }
};

export function createAdamWKernel(_block: number): AdamWKernel {
  return plainAdamWKernel;
}
