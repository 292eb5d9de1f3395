/** The judge's objective: cross-entropy of every question, summed. */
import { type JudgeConfig, judge, splitHeads } from '../../evaluation/judge.ts';
import * as ops from '../../graph/operators/index.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Params } from '../../layers/params.ts';
import type { Objective } from './objective.ts';

export interface JudgeBatch {
  /** [B, 3, H, W] in [−1, 1] */
  readonly pictures: Tensor;
  /** The right answers, one-hot in the layout of the logits: [B, JUDGE_CLASSES]. */
  readonly targets: Tensor;
}

/** Σ over heads of the mean over the batch of −log softmax(logits)[right answer]. */
export function judgeObjective(config: JudgeConfig, p: Params, { pictures, targets }: JudgeBatch): Objective {
  const { logits } = judge(config, p, pictures);
  const targetHeads = splitHeads(targets);
  const losses = [...splitHeads(logits)].map(([head, z]) => {
    // A classifier's logits stay far from where exp overflows in float32 (88).
    const logPartition = ops.log(ops.reduceSum(ops.exp(z), [1]));
    const right = ops.reduceSum(ops.multiply(z, targetHeads.get(head)!), [1]);
    return [head, ops.reduceMean(ops.subtract(logPartition, right))] as const;
  });
  const loss = losses.map(([, value]) => value).reduce((sum, value) => ops.add(sum, value));
  return { loss, parts: Object.fromEntries(losses.map(([head, value]) => [`loss_${head}`, value])) };
}
