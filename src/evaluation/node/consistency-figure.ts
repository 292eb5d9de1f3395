/** The figure that shows consistency: one picture at many noise levels, and what the models make of each. */
import { createCanvas } from '@napi-rs/canvas';
import type { Image } from '../../images/image.ts';
import { drawImage, readCanvas } from '../../images/node/canvas-image.ts';
import { type TextStyle, textPainter } from '../../images/node/text-painter.ts';
import { type ConsistencyExplanation, describeErrors } from '../consistency.ts';

/** Every pixel of a picture becomes 3×3. */
const SCALE = 3;
const MARGIN = 28;
const GAP = 8;
const HEADER = 40;
const LINE = 24;

const INK = '#1f2328';
const GREY = '#59636e';
const level: TextStyle = { size: 20, color: INK };
const title: TextStyle = { size: 20, color: INK, bold: true, subscripts: true };
const remark: TextStyle = { size: 16, color: GREY, subscripts: true };

interface FigureRow {
  readonly title: string;
  readonly remarks: readonly string[];
  readonly pictures: readonly Image[];
}

/** An RGB image on white. `fonts` false draws the text without the machine's fonts. */
export function consistencyFigure(explanation: ConsistencyExplanation, fonts?: boolean): Image {
  const { columns, view, prompt } = explanation;
  const rows = figureRows(explanation);
  const [pictureWidth, pictureHeight] = [columns[0]!.after.width * SCALE, columns[0]!.after.height * SCALE];

  const measuring = textPainter(createCanvas(1, 1).getContext('2d'), fonts);
  const footer = [
    `"${prompt}"`,
    view === 'trajectory'
      ? `x_t: on the trajectory of the probability flow that the teacher follows from the noised picture at t = ${columns[0]!.timestep}`
      : 'x_t: the same picture with the same noise, in the shares of each level',
    ...describeErrors(explanation),
  ];
  const widths = rows.flatMap((row) => [
    measuring.width(row.title, title),
    ...row.remarks.map((text) => measuring.width(text, remark)),
  ]);
  const labels = Math.ceil(Math.max(...widths)) + 2 * GAP;
  const footerWidth = Math.max(...footer.map((text) => measuring.width(text, remark)));
  const picturesWidth = columns.length * (pictureWidth + GAP) - GAP;
  const width = 2 * MARGIN + Math.ceil(Math.max(labels + picturesWidth, footerWidth));
  const bottom = MARGIN + HEADER + rows.length * (pictureHeight + GAP);
  const height = bottom + GAP + footer.length * LINE + MARGIN;

  const canvas = createCanvas(width, height);
  const context = canvas.getContext('2d');
  const text = textPainter(context, fonts);
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, width, height);
  const left = (column: number) => MARGIN + labels + column * (pictureWidth + GAP);
  for (const [i, { timestep }] of columns.entries()) {
    const label = `t = ${timestep}`;
    const centre = left(i) + pictureWidth / 2;
    text.paint(label, centre - text.width(label, level) / 2, MARGIN + HEADER / 2 - GAP / 2, level);
  }
  for (const [r, row] of rows.entries()) {
    const top = MARGIN + HEADER + r * (pictureHeight + GAP);
    const first = top + pictureHeight / 2 - (row.remarks.length * LINE) / 2;
    text.paint(row.title, MARGIN, first, title);
    for (const [i, line] of row.remarks.entries()) text.paint(line, MARGIN, first + (i + 1) * LINE, remark);
    for (const [i, picture] of row.pictures.entries()) {
      drawImage(context, picture, left(i), top, SCALE);
    }
  }
  for (const [i, line] of footer.entries()) {
    text.paint(line, MARGIN, bottom + GAP + i * LINE + LINE / 2, remark);
  }
  return readCanvas(context);
}

function figureRows({ columns, view }: ConsistencyExplanation): FigureRow[] {
  const before = columns.flatMap((column) => (column.before ? [column.before] : []));
  const distilled = before.length > 0;
  return [
    {
      title: 'x_t',
      remarks: view === 'trajectory' ? ['from noise', 'to the picture'] : ['the picture', 'with noise'],
      pictures: columns.map(({ noisy }) => noisy),
    },
    ...(distilled
      ? [{ title: 'before distillation', remarks: ['f(x_t, t) of the', 'teacher'], pictures: before }]
      : []),
    {
      title: distilled ? 'after distillation' : 'f(x_t, t)',
      remarks: distilled ? ['f(x_t, t) of the', 'consistency model'] : ['of the', 'consistency model'],
      pictures: columns.map(({ after }) => after),
    },
  ];
}
