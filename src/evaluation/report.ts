/** An evaluation as the two tables that a README or a model card shows. */
import { LABEL_HEAD_NAMES, type LabelHead } from '../datasets/postcards/labels.ts';
import type { Evaluation, EvaluationRow } from './evaluate.ts';

const HEAD_TITLES: Readonly<Record<LabelHead, string>> = {
  sky: 'sky',
  body: 'sun, moon',
  terrain: 'terrain',
  object: 'object',
  color: 'its colour',
  pos: 'position',
  tree: 'trees',
  count: 'count',
  extra: 'extra',
  balloonColor: 'balloon colour',
};

/** GitHub Markdown: the measures of every row, then the share of right answers per attribute. */
export function markdownReport({ count, references, rows }: Evaluation): string {
  const measures = table(
    [
      'row',
      'attributes right %',
      'seen',
      'held out',
      'all right % (seen / held out)',
      'uninvited %',
      'FD',
      'sharpness',
      'PSNR dB',
    ],
    rows.map((row) => [
      row.name,
      percent(row.fidelity.attributes),
      percent(row.seen.attributes),
      percent(row.heldOut.attributes),
      `${percent(row.fidelity.all, 1)} (${percent(row.seen.all, 1)} / ${percent(row.heldOut.all, 1)})`,
      percent(row.fidelity.uninvited, 1),
      row.frechetDistance.toFixed(1),
      row.sharpness.toFixed(3),
      row.psnr === undefined ? '–' : row.psnr.toFixed(2),
    ]),
  );
  const heads = table(
    ['right per attribute %', ...LABEL_HEAD_NAMES.map((head) => HEAD_TITLES[head])],
    rows.map(({ name, fidelity }) => [
      name,
      ...LABEL_HEAD_NAMES.map((head) => {
        const share = fidelity.byHead[head];
        return share === undefined ? '–' : percent(share, 1);
      }),
    ]),
  );
  const scales = [...new Set(rows.flatMap(({ sampling }) => (sampling ? [sampling.guidanceScale] : [])))];
  const guided = scales.length > 0 ? ` Guidance scale ${scales.join(', ')}.` : '';
  const conditions =
    `${count} captions, ${count / 2} seen and ${count / 2} held out, with the same noise in every row. ` +
    `FD: against ${references} other drawings of the same scenes, in the judge's features.${guided}`;
  return `${conditions}\n\n${measures}\n\n${heads}\n`;
}

/** One line about a row, for whoever waits. */
export function summaryLine({ name, fidelity, frechetDistance, sharpness, psnr }: EvaluationRow): string {
  const parts = [
    `${percent(fidelity.attributes)} % of attributes right`,
    `${percent(fidelity.all, 1)} % of pictures all right`,
    `${percent(fidelity.uninvited, 1)} % with something uninvited`,
    `FD ${frechetDistance.toFixed(1)}`,
    `sharpness ${sharpness.toFixed(3)}`,
    ...(psnr === undefined ? [] : [`PSNR ${psnr.toFixed(2)} dB`]),
  ];
  return `${name}: ${parts.join(', ')}`;
}

function percent(share: number, digits = 2): string {
  return (100 * share).toFixed(digits);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, i) => (i === 0 ? '---' : '---:'))), ...rows.map(line)].join('\n');
}
