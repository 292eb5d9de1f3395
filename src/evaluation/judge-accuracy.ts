/** How often the judge is right about real pictures: what its verdicts on drawn ones are worth. */
import type { Canvas2D } from '../datasets/postcards/canvas2d.ts';
import { LABEL_HEAD_NAMES, type LabelHead, labelsOf } from '../datasets/postcards/labels.ts';
import { postcard, type Split } from '../datasets/postcards/postcards.ts';
import { renderTensor } from '../datasets/postcards/render.ts';
import type { Judging } from './judging.ts';

/** Share of right answers per question, 0 to 1, over all `pictures` and not only what their captions settle. */
export interface JudgeAccuracy {
  readonly split: Split;
  readonly pictures: number;
  readonly byHead: Readonly<Record<LabelHead, number>>;
}

/** Asks the judge about the first `pictures` postcards of a split. */
export async function judgeAccuracy(
  judge: Pick<Judging, 'config' | 'judge'>,
  canvas: Canvas2D,
  { split, pictures = 1000 }: { readonly split: Split; readonly pictures?: number },
): Promise<JudgeAccuracy> {
  const cards = Array.from({ length: pictures }, (_, i) =>
    postcard(i, { split, size: judge.config.sample_size }),
  );
  const { answers } = await judge.judge(renderTensor(canvas, cards));
  const labels = cards.map(({ record }) => labelsOf(record));
  const shares = LABEL_HEAD_NAMES.map((head) => {
    const right = answers.filter((answer, i) => answer[head] === labels[i]![head]).length;
    return [head, right / pictures] as const;
  });
  return { split, pictures, byHead: Object.fromEntries(shares) as Record<LabelHead, number> };
}

/** One line: the worst question first in mind, all of them in figures. */
export function describeAccuracy({ split, pictures, byHead }: JudgeAccuracy): string {
  const heads = LABEL_HEAD_NAMES.map((head) => `${head} ${(100 * byHead[head]).toFixed(1)}`);
  const worst = Math.min(...Object.values(byHead));
  return `right about ${pictures} real pictures of ${split}, %: ${heads.join(', ')}; least ${(100 * worst).toFixed(1)}`;
}
