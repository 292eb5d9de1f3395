/** Activation functions by the names that config files give them. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';

/** Transformers' and diffusers' names. */
export const activationNames = [
  'silu',
  'swish',
  'relu',
  'gelu',
  'quick_gelu',
  'gelu_new',
  'gelu_pytorch_tanh',
] as const;

/** One of `activationNames`. */
export type ActivationName = (typeof activationNames)[number];

const activations: Readonly<Record<ActivationName, (x: Tensor) => Tensor>> = {
  silu: ops.silu,
  swish: ops.silu,
  relu: ops.relu,
  gelu: ops.gelu,
  quick_gelu: ops.quickGelu,
  gelu_new: ops.geluTanh,
  gelu_pytorch_tanh: ops.geluTanh,
};

/**
 * The activation that is called `name`, of every element. x: any shape → same.
 *
 * ```ts
 * activation('silu', input('x', [2, 3])).shape; // [2, 3]
 * ```
 */
export function activation(name: ActivationName, x: Tensor): Tensor {
  return activations[name](x);
}
