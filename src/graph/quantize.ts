/**
 * A program whose large weights are held in 8 bits: one signed integer for each, and one scale for each output channel.
 * They are rounded by operators that depend on weights alone, so that engines do it once, when they load the program.
 */

import { fixedNodes } from './fixed-nodes.ts';
import * as ops from './operators/index.ts';
import { type Program, program } from './program.ts';
import { type Node, type OperationNode, operationWithOutputs, type Tensor } from './tensor.ts';

/**
 * `int8`: weights of linear layers and convolutions, which are made floats again at every use: the least memory, and the
 * error of the weights alone. `int8-dynamic`: products of linear layers in integers too, with what they are multiplied by
 * rounded to 8 bits at every run: faster than that, and a larger error.
 */
export type Quantization = 'int8' | 'int8-dynamic';

export const quantizations: readonly Quantization[] = ['int8', 'int8-dynamic'];

/**
 * Weights with fewer channels, out or in, are left as they are: those of the first and the last layer, which take no
 * memory and matter most.
 */
const LEAST_CHANNELS = 12;

/** The same program with the weights of its linear layers and convolutions in 8 bits. */
export function quantized(whole: Program, kind: Quantization): Program {
  const fixed = fixedNodes(whole);
  const isLarge = (tensor: Tensor | undefined): tensor is Tensor =>
    tensor !== undefined &&
    fixed.has(tensor.node) &&
    tensor.dtype === 'float32' &&
    tensor.shape.slice(0, 2).every((channels) => channels >= LEAST_CHANNELS);
  const written = new Map<Node, readonly Tensor[]>();
  const here = (tensor: Tensor): Tensor => written.get(tensor.node)?.[tensor.index] ?? tensor;
  const stored = new Map<Tensor, Stored>();
  const storedOf = (weight: Tensor): Stored => {
    const known = stored.get(weight) ?? inBytes(weight);
    stored.set(weight, known);
    return known;
  };

  for (const node of whole.operations) {
    if (fixed.has(node)) continue;
    const inputs = node.inputs.map((tensor) => tensor && here(tensor));
    const weight = node.inputs[1];
    if (!isLarge(weight) || !(isLinear(node) || node.type === 'Conv')) {
      written.set(node, operationWithOutputs(node.type, inputs, node.outputs, node));
      continue;
    }
    const { q, scale, transposed } = storedOf(weight);
    if (kind === 'int8-dynamic' && isLinear(node)) {
      const [x, , bias] = inputs;
      written.set(node, [ops.dynamicQuantizeMatMul(x!, transposed!, scale, bias)]);
    } else {
      const [x, , ...rest] = inputs;
      const operands = [x, ops.dequantizeLinear(q, scale), ...rest];
      written.set(node, operationWithOutputs(node.type, operands, node.outputs, node));
    }
  }
  return program(Object.fromEntries([...whole.outputs].map(([name, tensor]) => [name, here(tensor)])));
}

/** As linear layers are written: x [M, K] · weight [N, K]ᵀ. */
function isLinear({ type, attributes }: OperationNode): boolean {
  const flag = (name: string) => {
    const value = attributes[name];
    return value !== undefined && 'int' in value && value.int === 1;
  };
  return type === 'Gemm' && flag('transB') && !flag('transA');
}

interface Stored {
  /** Of the shape of the weight, int8. */
  readonly q: Tensor;
  /** One for each index of its first axis. */
  readonly scale: Tensor;
  /** Of a matrix. */
  readonly transposed: Tensor | undefined;
}

/** The largest number of each output channel becomes ±127; a channel of zeros has some scale above 0. */
function inBytes(weight: Tensor): Stored {
  const axes = [...weight.shape.keys()].slice(1);
  const largest = ops.reduceMax(ops.abs(weight), axes);
  const scale = ops.clamp(ops.divide(largest, 127), 1e-30, 1e30);
  const q = ops.quantizeLinear(weight, scale);
  return { q, scale, transposed: q.shape.length === 2 ? ops.transpose(q, [1, 0]) : undefined };
}
