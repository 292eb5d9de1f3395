/** Right answers about postcards, as trainings want them. */
import {
  LABEL_HEAD_NAMES,
  type LabelHead,
  labelsOf,
  type PostcardRecord,
} from '../../datasets/postcards/labels.ts';
import { HEAD_OFFSETS, JUDGE_CLASSES } from '../../evaluation/judge.ts';

/** [N, JUDGE_CLASSES], row-major: a 1 at the answer of each head that `asked` gives, by default of all. */
export function answerTargets(
  cards: readonly { readonly record: PostcardRecord }[],
  asked: (record: PostcardRecord) => readonly LabelHead[] = () => LABEL_HEAD_NAMES,
): Float32Array {
  const targets = new Float32Array(cards.length * JUDGE_CLASSES);
  cards.forEach(({ record }, i) => {
    const labels = labelsOf(record);
    for (const head of asked(record)) targets[i * JUDGE_CLASSES + HEAD_OFFSETS.get(head)! + labels[head]] = 1;
  });
  return targets;
}
