/**
 * How much arithmetic a program is: the floating-point operations of its convolutions and matrix products, counted
 * from their shapes, two for each multiply-add. Element-wise operators are left out, as in fvcore and PyTorch's
 * FlopCounterMode: their time is spent on memory.
 */
import type { Program } from './program.ts';
import { elementCount } from './shape.ts';
import type { OperationNode } from './tensor.ts';

/** FLOPs of one run of a program. */
export function countFlops(program: Program): number {
  return program.operations.reduce((sum, node) => sum + operationFlops(node), 0);
}

/** FLOPs of one operator; 0 for those that are not counted. */
export function operationFlops(node: OperationNode): number {
  const output = elementCount(node.outputs[0]!.shape);
  const shapeOf = (index: number) => node.inputs[index]?.shape ?? [];
  switch (node.type) {
    case 'Conv':
      // Every output is a sum over the weight's [C/groups, kH, kW].
      return 2 * output * elementCount(shapeOf(1).slice(1));
    case 'ConvTranspose':
      // Every input goes into the weight's [O/groups, kH, kW].
      return 2 * elementCount(shapeOf(0)) * elementCount(shapeOf(1).slice(1));
    case 'MatMul':
      return 2 * output * shapeOf(0).at(-1)!;
    case 'Gemm': {
      const transposed = node.attributes.transA;
      const inner = transposed && 'int' in transposed && transposed.int === 1 ? 0 : 1;
      return 2 * output * shapeOf(0)[inner]!;
    }
    case 'MultiHeadAttention': {
      // q kᵀ and the product with v, over all places: a causal mask saves nothing here.
      const [batch, length, width] = shapeOf(0) as [number, number, number];
      const [, places, widthV] = shapeOf(2) as [number, number, number];
      return 2 * batch * length * places * (width + widthV);
    }
    default:
      return 0;
  }
}
