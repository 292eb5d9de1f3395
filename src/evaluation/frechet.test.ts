import { describe, expect, it } from 'vitest';
import { Generator } from '../random/generator.ts';
import { featureStatistics, frechetDistance } from './frechet.ts';

const dimensions = 6;
const normals = (seed: number, count: number, scale = 1, shift = 0) =>
  new Generator(seed).normal(count * dimensions).map((x) => x * scale + shift);

describe('Fréchet distance', () => {
  it('is zero between a set and itself', () => {
    const set = featureStatistics(normals(1, 500), dimensions);
    expect(frechetDistance(set, set)).toBeLessThan(1e-9);
  });

  it('is the squared distance of the means for a shifted set', () => {
    const features = normals(2, 400);
    const a = featureStatistics(features, dimensions);
    const b = featureStatistics(
      features.map((x) => x + 3),
      dimensions,
    );
    expect(frechetDistance(a, b)).toBeCloseTo(9 * dimensions, 3);
  });

  it('is Σ (σ₁ − σ₂)² for a scaled set with the same axes', () => {
    const features = normals(3, 400);
    const a = featureStatistics(features, dimensions);
    const b = featureStatistics(
      features.map((x) => x * 2),
      dimensions,
    );
    // Means scale too: |μ|² + tr(C + 4C − 2·2C) = |μ|² + tr(C).
    const mean = a.mean.reduce((sum, x) => sum + x * x, 0);
    expect(frechetDistance(a, b)).toBeCloseTo(mean + a.covariance.trace(), 4);
  });

  it('does not depend on the order of its arguments', () => {
    const a = featureStatistics(normals(4, 300, 1.5), dimensions);
    const b = featureStatistics(normals(5, 300, 0.7, 1), dimensions);
    expect(frechetDistance(a, b)).toBeCloseTo(frechetDistance(b, a), 8);
  });

  it('refuses a single vector', () => {
    expect(() => featureStatistics(new Float32Array(dimensions), dimensions)).toThrow(/at least two/);
  });
});
