/** The judge's objective: to answer every question about a picture. */
import { type JudgeConfig, judge } from '../../evaluation/judge.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Params } from '../../layers/params.ts';
import type { Objective } from './objective.ts';
import { questionsLoss } from './questions.ts';

export interface JudgeBatch {
  /** [B, 3, H, W] in [−1, 1] */
  readonly pictures: Tensor;
  /** The right answers, one-hot in the layout of the logits: [B, JUDGE_CLASSES]. */
  readonly targets: Tensor;
}

/** See `questionsLoss`. */
export function judgeObjective(config: JudgeConfig, p: Params, { pictures, targets }: JudgeBatch): Objective {
  return questionsLoss(judge(config, p, pictures).logits, targets);
}
