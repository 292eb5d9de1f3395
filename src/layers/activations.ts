/** Activation functions by the names that config files give them. */
import * as ops from '../graph/operators/index.ts';
import type { Tensor } from '../graph/tensor.ts';

const activations = {
  silu: ops.silu,
  swish: ops.silu,
  relu: ops.relu,
  gelu: ops.gelu,
  quick_gelu: ops.quickGelu,
  gelu_new: ops.geluTanh,
  gelu_pytorch_tanh: ops.geluTanh,
} satisfies Record<string, (x: Tensor) => Tensor>;

export type ActivationName = keyof typeof activations;

export const activationNames = Object.keys(activations) as ActivationName[];

export function activation(name: ActivationName, x: Tensor): Tensor {
  return activations[name](x);
}
