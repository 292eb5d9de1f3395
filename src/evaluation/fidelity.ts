/** How well pictures follow their captions, scored on what each caption settles and nothing else. */
import {
  fixedByCaption,
  hasUninvited,
  LABEL_HEAD_NAMES,
  type LabelHead,
  labelsOf,
  type PostcardRecord,
} from '../datasets/postcards/labels.ts';

/** What was found in one picture: for each head the index of the answer. */
export type Answers = Readonly<Record<LabelHead, number>>;

/** How much of what captions ask for is in the pictures. */
export interface Fidelity {
  /** Share of all settled attributes that are right, 0 to 1. */
  readonly attributes: number;
  /** Share of pictures with every settled attribute right, 0 to 1. */
  readonly all: number;
  /** Share of pictures with something in them that the caption does not ask for, 0 to 1. */
  readonly uninvited: number;
  /** Share of right answers per head, over the pictures whose caption settles it; a head without any is absent. */
  readonly byHead: Readonly<Partial<Record<LabelHead, number>>>;
  readonly pictures: number;
}

/** Scores picture i, judged as `found[i]`, against `records[i]`. */
export function fidelity(records: readonly PostcardRecord[], found: readonly Answers[]): Fidelity {
  if (records.length === 0 || records.length !== found.length) {
    throw new RangeError(`${found.length} judged pictures do not match ${records.length} captions`);
  }
  const asked = new Map<LabelHead, number>();
  const right = new Map<LabelHead, number>();
  let all = 0;
  records.forEach((record, i) => {
    const labels = labelsOf(record);
    const settled = fixedByCaption(record);
    const correct = settled.filter((head) => found[i]![head] === labels[head]);
    for (const head of settled) asked.set(head, (asked.get(head) ?? 0) + 1);
    for (const head of correct) right.set(head, (right.get(head) ?? 0) + 1);
    if (correct.length === settled.length) all += 1;
  });
  const heads = LABEL_HEAD_NAMES.filter((head) => asked.has(head));
  const total = (counts: ReadonlyMap<LabelHead, number>) =>
    heads.reduce((sum, head) => sum + (counts.get(head) ?? 0), 0);
  return {
    attributes: total(right) / total(asked),
    all: all / records.length,
    uninvited: records.filter((record, i) => hasUninvited(record, found[i]!)).length / records.length,
    byHead: Object.fromEntries(heads.map((head) => [head, (right.get(head) ?? 0) / asked.get(head)!])),
    pictures: records.length,
  };
}
