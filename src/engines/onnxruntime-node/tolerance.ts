/** How far a float32 result of each device may be from the reference, relative to the largest element (and to 1). */
import type { NodeDevice } from './engine.ts';

/** Tensor cores and neural engines may round operands to 10 bits of fraction; a sum of many such products loses more. */
const SHORT_FRACTION = 2 ** -8;

export const engineTolerance: Readonly<Record<NodeDevice, number>> = {
  cpu: 1e-5,
  // WGSL promises sin and cos no better than 2^-11 (WebGPU Shading Language, accuracy of built-in functions).
  webgpu: 2 ** -11,
  cuda: SHORT_FRACTION,
  coreml: SHORT_FRACTION,
  dml: 2 ** -11,
};
