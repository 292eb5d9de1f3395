/** A program: everything that a set of wanted tensors needs, in an order in which it can be computed. */
import type { ConstantNode, InputNode, Node, OperationNode, ParameterNode, Tensor } from './tensor.ts';

/** A graph of operators with its inputs, weights and outputs, as an engine compiles it. */
export interface Program {
  /** Values to be given at every run, by name. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Weights, by name. */
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly constants: readonly Tensor[];
  /** Each after all that it reads. */
  readonly operations: readonly OperationNode[];
  readonly outputs: ReadonlyMap<string, Tensor>;
}

/** Collects the program that computes `outputs`. Throws when two different leaves have the same name. */
export function program(outputs: Readonly<Record<string, Tensor>>): Program {
  const inputs = new Map<string, Tensor>();
  const parameters = new Map<string, Tensor>();
  const constants: Tensor[] = [];
  const operations: OperationNode[] = [];
  const seen = new Set<Node>();

  const leaf = (tensor: Tensor, node: InputNode | ParameterNode | ConstantNode) => {
    if (node.kind === 'constant') {
      constants.push(tensor);
      return;
    }
    if (inputs.has(node.name) || parameters.has(node.name)) {
      throw new Error(`two different tensors of one program are both called "${node.name}"`);
    }
    (node.kind === 'input' ? inputs : parameters).set(node.name, tensor);
  };

  // Depth first with a stack of its own: a training step is thousands of operators deep.
  const stack: { tensor: Tensor; next: number }[] = [];
  const visit = (tensor: Tensor) => {
    if (seen.has(tensor.node)) return;
    seen.add(tensor.node);
    stack.push({ tensor, next: 0 });
  };
  for (const output of Object.values(outputs)) {
    visit(output);
    while (stack.length > 0) {
      const top = stack[stack.length - 1]!;
      const { node } = top.tensor;
      if (node.kind !== 'operation') {
        leaf(top.tensor, node);
        stack.pop();
      } else if (top.next < node.inputs.length) {
        const next = node.inputs[top.next++];
        if (next) visit(next);
      } else {
        operations.push(node);
        stack.pop();
      }
    }
  }
  return { inputs, parameters, constants, operations, outputs: new Map(Object.entries(outputs)) };
}
