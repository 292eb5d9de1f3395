/** Counting the arithmetic of a program, to plan a training and to judge its speed. */
import type { Program } from '../graph/program.ts';
import { elementCount } from '../graph/shape.ts';
import type { OperationNode } from '../graph/tensor.ts';

/** Floating-point operations of one run in convolutions, matrix products and attention; all else is left out. */
export function countFlops({ operations }: Program): number {
  return operations.reduce((sum, node) => sum + flopsOf(node), 0);
}

function flopsOf({ type, inputs, outputs }: OperationNode): number {
  const [a, b] = inputs;
  const output = outputs[0]!;
  switch (type) {
    case 'Conv': // every output element takes a kernel's worth of multiplications and additions
      return 2 * elementCount(output.shape) * elementCount(b!.shape.slice(1));
    case 'ConvTranspose':
      return 2 * elementCount(a!.shape) * elementCount(b!.shape.slice(1));
    case 'MatMul':
      return 2 * elementCount(output.shape) * a!.shape.at(-1)!;
    case 'Gemm': {
      const inner = elementCount(a!.shape) / output.shape[0]!;
      return 2 * elementCount(output.shape) * inner;
    }
    case 'MultiHeadAttention': // q·kᵀ and the product with v
      return 4 * elementCount(a!.shape) * b!.shape[1]!;
    default:
      return 0;
  }
}
