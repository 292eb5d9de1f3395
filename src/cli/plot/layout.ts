/** Where everything of a plot goes: pictures in columns and rows, one grid for each value of z, and the legend. */
import type { TextStyle } from '../../images/node/text-painter.ts';
import { type FittedText, fitTexts, lineHeight, type Measure } from './fit-text.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface PlotContents {
  /** What is the same in all pictures: the prompt, and in small letters the settings. Empty for none. */
  readonly title: string;
  readonly remark: string;
  /** Labels of the x, y and z axis; one empty label where there is no such axis. */
  readonly columns: readonly string[];
  readonly rows: readonly string[];
  readonly grids: readonly string[];
  /** Of a picture on the sheet, in pixels. */
  sizeOf(column: number, row: number, grid: number): Size;
}

export interface PlacedText {
  readonly text: string;
  /** The left end and the middle of the line's height. */
  readonly x: number;
  readonly y: number;
  readonly style: TextStyle;
}

export interface PlotLayout extends Size {
  readonly texts: readonly PlacedText[];
  /** The top left corner of a picture. */
  placeOf(column: number, row: number, grid: number): { readonly left: number; readonly top: number };
}

const INK = '#1f2328';
const GREY = '#59636e';

/** Labels grow with the pictures, within this. */
const LABEL_SIZES = { smallest: 14, largest: 40, ofPicture: 1 / 13 };
/** Lines of a column's label, and of the title. */
const LABEL_LINES = 4;
const TITLE_LINES = 4;
/** The title may make a narrow plot wider than its pictures. */
const TITLE_WIDTH = 24;

export function layoutPlot(contents: PlotContents, measure: Measure): PlotLayout {
  const { columns, rows, grids, sizeOf } = contents;
  const largest = (sizes: readonly number[]) => Math.max(...sizes);
  const widths = columns.map((_, x) =>
    largest(rows.flatMap((_, y) => grids.map((_, z) => sizeOf(x, y, z).width))),
  );
  const heights = rows.map((_, y) =>
    largest(columns.flatMap((_, x) => grids.map((_, z) => sizeOf(x, y, z).height))),
  );
  const side = (mean(widths) + mean(heights)) / 2;
  const size = Math.round(
    Math.min(Math.max(side * LABEL_SIZES.ofPicture, LABEL_SIZES.smallest), LABEL_SIZES.largest),
  );
  const label: TextStyle = { size, color: INK };
  const gap = Math.max(4, Math.round(size / 3));
  const margin = Math.round(size * 1.25);

  // The legend of one grid: labels over the columns, labels left of the rows.
  const columnLabels = fitTexts(
    columns.map((text, x) => ({ text, width: widths[x]!, height: LABEL_LINES * lineHeight(label) })),
    label,
    measure,
  );
  const rowWidth = Math.ceil(Math.min(largest(rows.map((text) => measure(text, label))), mean(widths)));
  const rowLabels = fitTexts(
    rows.map((text, y) => ({ text, width: rowWidth, height: heights[y]! })),
    label,
    measure,
  );
  const header = heightOf(columnLabels);
  const left = rowWidth > 0 ? rowWidth + 2 * gap : 0;
  const picturesWidth = sum(widths) + (columns.length - 1) * gap;
  const gridWidth = left + picturesWidth;
  const bold: TextStyle = { ...label, bold: true };
  const gridTitles = fitTexts(
    grids.map((text) => ({ text, width: gridWidth, height: 2 * lineHeight(bold) })),
    bold,
    measure,
  );
  const gridHeader = heightOf(gridTitles);
  const above = (height: number) => (height > 0 ? height + gap : 0);
  const gridHeight = above(gridHeader) + above(header) + sum(heights) + (rows.length - 1) * gap;

  // Grids that are taller than wide stand side by side, the others one below the other.
  const beside = gridHeight > gridWidth;
  const [across, down] = beside ? [grids.length, 1] : [1, grids.length];
  const between = 2 * margin;
  const gridsWidth = across * (gridWidth + between) - between;
  const titleStyle: TextStyle = { ...bold, size: Math.round(size * 1.15) };
  const remarkStyle: TextStyle = { size: Math.max(SMALLEST_REMARK, Math.round(size * 0.8)), color: GREY };
  const inner = Math.max(
    gridsWidth,
    Math.ceil(Math.min(measure(contents.title, titleStyle), TITLE_WIDTH * size)),
  );
  const [title] = fitTexts(
    [{ text: contents.title, width: inner, height: TITLE_LINES * lineHeight(titleStyle) }],
    titleStyle,
    measure,
  );
  const [remark] = fitTexts(
    [{ text: contents.remark, width: inner, height: TITLE_LINES * lineHeight(remarkStyle) }],
    remarkStyle,
    measure,
  );
  const head = heightOf([title!]) + heightOf([remark!]);
  const top = margin + (head > 0 ? head + 2 * gap : 0);
  const corner = (z: number) => ({
    left: margin + (beside ? z * (gridWidth + between) : 0),
    top: top + (beside ? 0 : z * (gridHeight + between)),
  });
  const columnLeft = (x: number) => left + sum(widths.slice(0, x)) + x * gap;
  const rowTop = (y: number) => above(gridHeader) + above(header) + sum(heights.slice(0, y)) + y * gap;

  const texts: PlacedText[] = [
    ...lines(title!, margin, margin, (line) => measure(line, title!.style), 0),
    ...lines(remark!, margin, margin + heightOf([title!]), (line) => measure(line, remark!.style), 0),
  ];
  for (const z of grids.keys()) {
    const { left: gridLeft, top: gridTop } = corner(z);
    const widthOf =
      ({ style }: FittedText) =>
      (line: string) =>
        measure(line, style);
    const titled = gridTitles[z]!;
    texts.push(...lines(titled, gridLeft + left + picturesWidth / 2, gridTop, widthOf(titled), 0.5));
    for (const [x, fitted] of columnLabels.entries()) {
      const centre = gridLeft + columnLeft(x) + widths[x]! / 2;
      // The last line stands on the pictures.
      const first = gridTop + above(gridHeader) + header - heightOf([fitted]);
      texts.push(...lines(fitted, centre, first, widthOf(fitted), 0.5));
    }
    for (const [y, fitted] of rowLabels.entries()) {
      const first = gridTop + rowTop(y) + (heights[y]! - heightOf([fitted])) / 2;
      texts.push(...lines(fitted, gridLeft + rowWidth, first, widthOf(fitted), 1));
    }
  }
  return {
    width: inner + 2 * margin,
    height: top + down * (gridHeight + between) - between + margin,
    texts,
    placeOf(column, row, grid) {
      const { width, height } = sizeOf(column, row, grid);
      const { left: gridLeft, top: gridTop } = corner(grid);
      return {
        left: gridLeft + columnLeft(column) + Math.floor((widths[column]! - width) / 2),
        top: gridTop + rowTop(row) + Math.floor((heights[row]! - height) / 2),
      };
    },
  };
}

const SMALLEST_REMARK = 12;

/** The lines of a text from `top` down; `share` of each lies left of `x`. */
function lines(
  { lines: all, style }: FittedText,
  x: number,
  top: number,
  width: (line: string) => number,
  share: number,
): PlacedText[] {
  const height = lineHeight(style);
  return all.map((text, i) => ({
    text,
    x: Math.round(x - share * width(text)),
    y: Math.round(top + (i + 0.5) * height),
    style,
  }));
}

/** Of the tallest. */
function heightOf(fitted: readonly FittedText[]): number {
  return Math.max(...fitted.map(({ lines: all, style }) => all.length * lineHeight(style)));
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
