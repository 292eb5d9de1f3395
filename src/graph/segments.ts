/**
 * A program as several shorter ones, to be run one after the other. An engine that prepares weights when it compiles
 * (casts, reorders, packs) holds old and new ones at the same time; of a program in segments only one segment's.
 */
import { fixedNodes } from './fixed-nodes.ts';
import { totalBytes } from './memory.ts';
import { type Program, program } from './program.ts';
import { elementCount } from './shape.ts';
import { input, type Node, type OperationNode, operationWithOutputs, type Tensor } from './tensor.ts';

/** How far from an equal share a cut may lie, as a part of a share, to be at a place where little is alive. */
const SLACK = 0.25;

/**
 * Cuts a program into about `count` segments with equal shares of the parameters' elements. A segment's inputs are
 * the program's, and under `segment/…` what earlier segments hand on as outputs of that name; the program's outputs
 * are outputs of the segments that compute them. What depends on parameters and constants alone is written again in
 * every segment that uses it, so that it can be computed at compile time.
 */
export function segments(whole: Program, count: number): Program[] {
  const fixed = fixedNodes(whole);
  const operations = whole.operations.filter((node) => !fixed.has(node));
  const cuts = chooseCuts(operations, fixed, whole, count);
  const segmentOf = new Map<Node, number>();
  operations.forEach((node, i) => {
    segmentOf.set(node, cuts.filter((cut) => cut <= i).length);
  });
  return divided(whole, segmentOf, cuts.length + 1);
}

/** Operators to which rounded operands do harm: angles of a thousand radians, of which 8 bits say nothing. */
const SENSITIVE: ReadonlySet<string> = new Set(['Sin', 'Cos']);
/** Operators whose work would be too much for what is computed apart. */
const HEAVY: ReadonlySet<string> = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm', 'FusedMatMul']);

/**
 * A program in two segments, of which an engine of half precision has to compute the first in float32: sines and cosines
 * with what they are computed from, as in the embeddings of timesteps. The program alone where it has none.
 */
export function sensitiveFirst(whole: Program): Program[] {
  const fixed = fixedNodes(whole);
  const operations = whole.operations.filter((node) => !fixed.has(node));
  const first = new Set<Node>();
  for (const node of operations.toReversed()) {
    if (!SENSITIVE.has(node.type) && !first.has(node)) continue;
    if (HEAVY.has(node.type)) return [whole];
    first.add(node);
    for (const tensor of node.inputs) if (tensor && !fixed.has(tensor.node)) first.add(tensor.node);
  }
  if (!operations.some((node) => first.has(node))) return [whole];
  const segmentOf = new Map<Node, number>(operations.map((node) => [node, first.has(node) ? 0 : 1]));
  return divided(whole, segmentOf, 2);
}

/** segmentOf: of every operation that does not depend on parameters and constants alone; none before what it reads. */
function divided(whole: Program, segmentOf: ReadonlyMap<Node, number>, count: number): Program[] {
  const operations = whole.operations.filter((node) => segmentOf.has(node));
  // By node and output: what crosses a cut, as the later segments' input.
  const handedOn = new Map<Node, Map<number, Tensor>>();
  for (const node of operations) {
    for (const tensor of node.inputs) {
      const made = tensor && segmentOf.get(tensor.node);
      if (!tensor || made === undefined || made === segmentOf.get(node)) continue;
      const inputs = handedOn.get(tensor.node) ?? new Map<number, Tensor>();
      handedOn.set(tensor.node, inputs);
      const name = `segment/${handedOn.size}/${tensor.index}`;
      if (!inputs.has(tensor.index)) inputs.set(tensor.index, input(name, tensor.shape, tensor.dtype));
    }
  }

  return Array.from({ length: count }, (_, segment) => {
    const written = new Map<Node, readonly Tensor[]>();
    const here = (tensor: Tensor): Tensor => {
      const made = segmentOf.get(tensor.node);
      if (made === undefined) return tensor;
      return made === segment
        ? written.get(tensor.node)![tensor.index]!
        : handedOn.get(tensor.node)!.get(tensor.index)!;
    };
    const outputs: Record<string, Tensor> = {};
    for (const node of operations) {
      if (segmentOf.get(node) !== segment) continue;
      const inputs = node.inputs.map((tensor) => tensor && here(tensor));
      written.set(node, operationWithOutputs(node.type, inputs, node.outputs, node));
      for (const [index, { node: leaf }] of handedOn.get(node) ?? []) {
        if (leaf.kind === 'input') outputs[leaf.name] = written.get(node)![index]!;
      }
    }
    for (const [name, tensor] of whole.outputs) {
      if ((segmentOf.get(tensor.node) ?? 0) === segment) outputs[name] = here(tensor);
    }
    return program(outputs);
  });
}

/** The indices of the operations before which to cut. */
function chooseCuts(
  operations: readonly OperationNode[],
  fixed: ReadonlySet<Node>,
  { outputs }: Program,
  count: number,
): number[] {
  const weights = weightsBefore(operations, fixed);
  const alive = bytesAlive(operations, [...outputs.values()]);
  const share = weights.at(-1)! / count;
  const cuts: number[] = [];
  for (let k = 1; k < count; k++) {
    let best: number | undefined;
    for (let i = (cuts.at(-1) ?? 0) + 1; i < operations.length; i++) {
      if (Math.abs(weights[i]! - k * share) > SLACK * share) continue;
      if (best === undefined || alive[i]! < alive[best]!) best = i;
    }
    if (best !== undefined) cuts.push(best);
  }
  return cuts;
}

/** For every operation, and for the end: how many elements of parameters the operations before it read first. */
function weightsBefore(operations: readonly OperationNode[], fixed: ReadonlySet<Node>): number[] {
  const seen = new Set<Node>();
  const elementsOf = (tensor: Tensor | undefined): number => {
    if (!tensor || seen.has(tensor.node)) return 0;
    const { node } = tensor;
    if (node.kind === 'parameter') {
      seen.add(node);
      return elementCount(tensor.shape);
    }
    if (!fixed.has(node) || node.kind !== 'operation') return 0;
    seen.add(node);
    return node.inputs.reduce((sum, part) => sum + elementsOf(part), 0);
  };
  const before = [0];
  for (const node of operations) {
    before.push(before.at(-1)! + node.inputs.reduce((sum, tensor) => sum + elementsOf(tensor), 0));
  }
  return before;
}

/** For every operation: the bytes that were computed before it and are still needed by it or after it. */
function bytesAlive(operations: readonly OperationNode[], outputs: readonly Tensor[]): number[] {
  const lastUse = new Map<Node, number>();
  operations.forEach((node, i) => {
    for (const tensor of node.inputs) if (tensor) lastUse.set(tensor.node, i);
  });
  for (const { node } of outputs) lastUse.set(node, operations.length);
  const change = new Array<number>(operations.length + 2).fill(0);
  operations.forEach((node, i) => {
    const bytes = totalBytes(node.outputs);
    const last = lastUse.get(node) ?? i;
    change[i + 1]! += bytes;
    change[last + 1]! -= bytes;
  });
  let sum = 0;
  return operations.map((_, i) => {
    sum += change[i]!;
    return sum;
  });
}
