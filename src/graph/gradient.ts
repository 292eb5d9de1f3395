/** Reverse mode: the derivative of a program is more of the same program. */
import { add } from './operators/arithmetic.ts';
import { STOP_GRADIENT } from './operators/pointwise.ts';
import { program } from './program.ts';
import { formatShape, sameShape } from './shape.ts';
import { filled, type Node, type OperationNode, scalar, type Tensor } from './tensor.ts';

/**
 * The gradients of the scalar `loss` with respect to each of `wrt`, in their order. A tensor that the loss does
 * not depend on (or only through `stopGradient`) gets zeros.
 *
 * Throws when `loss` is not a single number, or when an operator on the way has no derivative.
 */
export function grad(loss: Tensor, wrt: readonly Tensor[]): Tensor[] {
  if (loss.shape.length !== 0) {
    throw new Error(
      `grad: the loss must be a scalar of shape [], got ${formatShape(loss.shape)}; reduce it first`,
    );
  }
  const { operations } = program({ loss });
  const wanted = new Set<Tensor>(wrt);
  const wantedNodes = new Set<Node>(wrt.map((tensor) => tensor.node));

  // A node carries gradients only if something asked for lies behind it.
  const active = new Set<Node>(wantedNodes);
  for (const node of operations) {
    if (node.type !== STOP_GRADIENT && node.differentiated.some((x) => x && active.has(x.node)))
      active.add(node);
  }

  const gradients = new Map<Tensor, Tensor>();
  const accumulate = (tensor: Tensor, gradient: Tensor) => {
    const sum = gradients.get(tensor);
    gradients.set(tensor, sum ? add(sum, gradient) : gradient);
  };
  accumulate(loss, scalar(1));

  for (let i = operations.length - 1; i >= 0; i--) {
    const node = operations[i]!;
    if (!active.has(node) || node.differentiated.every((x) => !x || !active.has(x.node))) continue;
    const outputGradients = node.outputs.map((output) => gradients.get(output));
    if (outputGradients.every((gradient) => gradient === undefined)) continue;
    propagate(node, outputGradients, active, accumulate);
    for (const output of node.outputs) if (!wanted.has(output)) gradients.delete(output);
  }
  return wrt.map((tensor) => gradients.get(tensor) ?? filled(tensor.shape, 0));
}

function propagate(
  node: OperationNode,
  outputGradients: readonly (Tensor | undefined)[],
  active: ReadonlySet<Node>,
  accumulate: (tensor: Tensor, gradient: Tensor) => void,
): void {
  if (!node.gradient)
    throw new Error(`grad: the operator ${node.type} has no derivative; wrap its input in stopGradient`);
  const wanted = node.differentiated.map((x) => x !== undefined && active.has(x.node));
  const inputGradients = node.gradient(outputGradients);
  node.differentiated.forEach((x, i) => {
    const gradient = inputGradients[i];
    if (!x || !wanted[i] || !gradient) return;
    if (!sameShape(gradient.shape, x.shape)) {
      throw new Error(
        `grad: ${node.type} gave its input ${i} of shape ${formatShape(x.shape)} a gradient of shape ${formatShape(gradient.shape)}`,
      );
    }
    accumulate(x, gradient);
  });
}
