/**
 * How much memory a run of a program needs at least, told from its shapes. A bound from below: an engine may fuse
 * operators and reuse memory, but while it convolves or multiplies matrices, the operands, the result and whatever is
 * still to be read are there.
 */
import { bytesPerElement } from './dtype.ts';
import { fixedNodes } from './fixed-nodes.ts';
import type { Program } from './program.ts';
import { elementCount } from './shape.ts';
import type { OperationNode, Tensor } from './tensor.ts';

/** Bytes that a run of a program needs at least. */
export interface MemoryUse {
  /** Bytes of the weights in the types that they are computed with: of float16 cast to float32, four each. */
  readonly weights: number;
  /** Bytes of inputs, results and everything between them, at the moment when most of it is alive. */
  readonly activations: number;
}

/** Operators that no engine merges into others. */
const unmerged = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm', 'MultiHeadAttention']);

/** The least memory that `program` needs. */
export function memoryUse(program: Program): MemoryUse {
  const fixed = fixedNodes(program);
  const operations = program.operations.filter((node) => !fixed.has(node));
  const reads = (node: OperationNode) =>
    new Set(node.inputs.flatMap((tensor) => (tensor && !fixed.has(tensor.node) ? [stored(tensor)] : [])));

  const lastRead = new Map<Tensor, number>();
  operations.forEach((node, at) => {
    for (const tensor of reads(node)) lastRead.set(tensor, at);
  });
  // What the caller gave and what the caller gets stays to the end.
  for (const kept of [program.inputs, program.outputs]) {
    for (const tensor of kept.values()) lastRead.set(stored(tensor), Infinity);
  }

  let alive = totalBytes(program.inputs.values());
  let most = alive;
  operations.forEach((node, at) => {
    if (!isView(node)) alive += totalBytes(node.outputs.filter((tensor) => lastRead.has(tensor)));
    if (unmerged.has(node.type)) most = Math.max(most, alive);
    alive -= totalBytes([...reads(node)].filter((tensor) => lastRead.get(tensor) === at));
  });
  const weights = operations.flatMap(({ inputs }) =>
    inputs.flatMap((tensor) => (tensor && fixed.has(tensor.node) ? [tensor] : [])),
  );
  return { weights: totalBytes(new Set(weights)), activations: Math.max(most, alive) };
}

/** The tensor in whose memory this one lies: itself, unless it is the same elements under another shape. */
function stored(tensor: Tensor): Tensor {
  const { node } = tensor;
  return node.kind === 'operation' && isView(node) ? stored(node.inputs[0]!) : tensor;
}

function isView(node: OperationNode): boolean {
  return node.type === 'Reshape';
}

/** Of tensors in their own types. */
export function totalBytes(tensors: Iterable<Tensor>): number {
  let bytes = 0;
  for (const { dtype, shape } of tensors) bytes += bytesPerElement(dtype) * elementCount(shape);
  return bytes;
}
