/**
 * Fréchet distance between two sets of feature vectors, each taken as a normal distribution
 * (Dowson & Landau 1982; with Inception features, Heusel et al. 2017, the FID):
 * ‖μ₁ − μ₂‖² + tr(C₁ + C₂ − 2 (C₁ C₂)^½).
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';

/** The normal distribution that stands for a set of feature vectors. */
export interface FeatureStatistics {
  /** [D] */
  readonly mean: Float64Array;
  /** [D, D], with the divisor N − 1. */
  readonly covariance: Matrix;
  readonly count: number;
}

/** Mean and covariance of `features`, row-major [N, dimensions]. Needs at least two rows. */
export function featureStatistics(features: Float32Array, dimensions: number): FeatureStatistics {
  const count = features.length / dimensions;
  if (!Number.isInteger(count) || count < 2) {
    throw new RangeError(
      `${features.length} numbers are no set of at least two feature vectors of ${dimensions} dimensions`,
    );
  }
  const mean = new Float64Array(dimensions);
  for (let i = 0; i < features.length; i++) mean[i % dimensions]! += features[i]! / count;
  const centered = new Matrix(count, dimensions);
  for (let row = 0; row < count; row++) {
    for (let d = 0; d < dimensions; d++) centered.set(row, d, features[row * dimensions + d]! - mean[d]!);
  }
  return {
    mean,
    covariance: centered
      .transpose()
      .mmul(centered)
      .div(count - 1),
    count,
  };
}

/** The squared Fréchet (2-Wasserstein) distance of two normal distributions; 0 for equal ones. */
export function frechetDistance(a: FeatureStatistics, b: FeatureStatistics): number {
  let means = 0;
  for (let d = 0; d < a.mean.length; d++) means += (a.mean[d]! - b.mean[d]!) ** 2;
  // C₁C₂ is not symmetric, but similar to S C₂ S with S = C₁^½, whose eigenvalues are real and not negative.
  const root = squareRoot(a.covariance);
  const similar = root.mmul(b.covariance).mmul(root);
  const eigenvalues = new EigenvalueDecomposition(symmetric(similar), { assumeSymmetric: true })
    .realEigenvalues;
  const trace = eigenvalues.reduce((sum, value) => sum + Math.sqrt(Math.max(value, 0)), 0);
  return Math.max(0, means + a.covariance.trace() + b.covariance.trace() - 2 * trace);
}

function squareRoot(matrix: Matrix): Matrix {
  const { eigenvectorMatrix: vectors, realEigenvalues } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const scaled = vectors.clone();
  realEigenvalues.forEach((value, i) => {
    scaled.mulColumn(i, Math.sqrt(Math.max(value, 0)));
  });
  return scaled.mmul(vectors.transpose());
}

/** Rounding leaves a product that should be symmetric slightly off. */
function symmetric(matrix: Matrix): Matrix {
  return Matrix.add(matrix, matrix.transpose()).div(2);
}
