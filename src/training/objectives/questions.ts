/** Cross-entropy of the ten questions about postcards, whoever answers them. */
import { splitHeads } from '../../evaluation/judge.ts';
import * as ops from '../../graph/operators/index.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Objective } from './objective.ts';

/**
 * Σ over heads of the mean over the batch of −log softmax(logits)[right answer]; a question that is not asked counts
 * nothing.
 *
 * @param logits [B, JUDGE_CLASSES]
 * @param targets the right answers, one-hot in the layout of the logits, and zeros for a question that is not asked
 */
export function questionsLoss(logits: Tensor, targets: Tensor): Objective {
  const targetHeads = splitHeads(targets);
  const losses = [...splitHeads(logits)].map(([head, z]) => {
    const target = targetHeads.get(head)!;
    // A classifier's logits stay far from where exp overflows in float32 (88).
    const logPartition = ops.log(ops.reduceSum(ops.exp(z), [1]));
    const right = ops.reduceSum(ops.multiply(z, target), [1]);
    const isAsked = ops.reduceSum(target, [1]);
    return [head, ops.reduceMean(ops.subtract(ops.multiply(logPartition, isAsked), right))] as const;
  });
  const loss = losses.map(([, value]) => value).reduce((sum, value) => ops.add(sum, value));
  return { loss, parts: Object.fromEntries(losses.map(([head, value]) => [`loss_${head}`, value])) };
}
