/** What of a program is known before it runs. */
import type { Program } from './program.ts';
import type { Node } from './tensor.ts';

/**
 * Weights, constants, and all that is made of them alone, which engines work out once, when they load the program: but
 * for weights of 8 bits as floats, which are made anew whenever they are needed and are never held.
 */
export function fixedNodes({ parameters, constants, operations }: Program): Set<Node> {
  const fixed = new Set<Node>([...parameters.values(), ...constants].map(({ node }) => node));
  for (const node of operations) {
    if (node.type === 'DequantizeLinear') continue;
    if (node.inputs.every((tensor) => tensor === undefined || fixed.has(tensor.node))) fixed.add(node);
  }
  return fixed;
}
