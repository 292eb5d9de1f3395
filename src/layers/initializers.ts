/** How a weight starts, as PyTorch's modules start theirs. */
import { elementCount, type Shape } from '../graph/shape.ts';

/** Where initial values come from: standard normals, and uniforms in [0, 1). */
export interface RandomSource {
  normal(length: number): Float32Array;
  uniform(length: number): Float32Array;
}

/** Gives a parameter its first values. */
export type Initializer = (shape: Shape, random: RandomSource) => Float32Array;

/** Zeros: biases, and layers that add nothing at first. */
export const zerosInitializer: Initializer = (shape) => new Float32Array(elementCount(shape));

/** Ones: the scales of norms. */
export const onesInitializer: Initializer = (shape) => new Float32Array(elementCount(shape)).fill(1);

/** N(0, std²). */
export function normalInitializer(std: number): Initializer {
  return (shape, random) => random.normal(elementCount(shape)).map((x) => x * std);
}

/** U(−bound, bound). */
export function uniformInitializer(bound: number): Initializer {
  return (shape, random) => random.uniform(elementCount(shape)).map((u) => (2 * u - 1) * bound);
}

/** PyTorch's default for linear and convolution layers, weight and bias alike: U(±1/√fanIn). */
export function fanInInitializer(fanIn: number): Initializer {
  return uniformInitializer(1 / Math.sqrt(fanIn));
}
