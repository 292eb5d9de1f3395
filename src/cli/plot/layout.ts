/** Where everything of a plot goes: pictures in columns and rows, one grid for each value of z, and the legend. */
import type { TextStyle } from '../../images/node/text-painter.ts';
import { type FittedText, fitTexts, lineHeight, type Measure } from './fit-text.ts';

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Place {
  readonly left: number;
  readonly top: number;
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
  placeOf(column: number, row: number, grid: number): Place;
}

const INK = '#1f2328';
const GREY = '#59636e';

/** Labels grow with the pictures, within these sizes. */
const LABEL_SHARE = 1 / 13;
const [SMALLEST_LABEL, LARGEST_LABEL, SMALLEST_REMARK] = [14, 40, 12];
/** Most lines of a column's label, of a grid's title, and of the title and the remark over all. */
const [COLUMN_LINES, GRID_LINES, HEADING_LINES] = [4, 2, 4];
/** So many times the size of its letters the title may make a narrow plot wider than its pictures. */
const HEADING_WIDTH = 24;

/** Grids that are taller than wide stand side by side, the others one below the other, all under one heading. */
export function layoutPlot(contents: PlotContents, measure: Measure): PlotLayout {
  const { title, remark, grids } = contents;
  const cells = cellBoxes(contents);
  const side = (mean(cells.widths) + mean(cells.heights)) / 2;
  const size = Math.round(Math.min(Math.max(side * LABEL_SHARE, SMALLEST_LABEL), LARGEST_LABEL));
  const gap = Math.max(4, Math.round(size / 3));
  const margin = Math.round(size * 1.25);
  const between = 2 * margin;

  const grid = layoutGrid(contents, cells, { size, color: INK }, gap, measure);
  const beside = grid.height > grid.width;
  const [across, down] = beside ? [grids.length, 1] : [1, grids.length];

  const titleStyle: TextStyle = { size: Math.round(size * 1.15), color: INK, bold: true };
  const remarkStyle: TextStyle = { size: Math.max(SMALLEST_REMARK, Math.round(size * 0.8)), color: GREY };
  const width = Math.max(
    across * (grid.width + between) - between,
    Math.ceil(Math.min(measure(title, titleStyle), HEADING_WIDTH * size)),
  );
  const heading = [
    ...fitTexts(
      [{ text: title, width, height: HEADING_LINES * lineHeight(titleStyle) }],
      titleStyle,
      measure,
    ),
    ...fitTexts(
      [{ text: remark, width, height: HEADING_LINES * lineHeight(remarkStyle) }],
      remarkStyle,
      measure,
    ),
  ];
  const [titleHeight, remarkHeight] = heading.map(heightOf) as [number, number];
  const headingHeight = titleHeight + remarkHeight;
  const top = margin + (headingHeight > 0 ? headingHeight + 2 * gap : 0);
  const cornerOf = (z: number): Place => ({
    left: margin + (beside ? z * (grid.width + between) : 0),
    top: top + (beside ? 0 : z * (grid.height + between)),
  });
  return {
    width: width + 2 * margin,
    height: top + down * (grid.height + between) - between + margin,
    texts: [
      ...linesOf(heading[0]!, { left: margin, top: margin }, 0, measure),
      ...linesOf(heading[1]!, { left: margin, top: margin + titleHeight }, 0, measure),
      ...grids.flatMap((_, z) => grid.textsOf(z, cornerOf(z))),
    ],
    placeOf(column, row, z) {
      const picture = contents.sizeOf(column, row, z);
      const cell = grid.cellOf(column, row);
      const corner = cornerOf(z);
      return {
        left: corner.left + cell.left + Math.floor((cell.width - picture.width) / 2),
        top: corner.top + cell.top + Math.floor((cell.height - picture.height) / 2),
      };
    },
  };
}

/** The width of each column and the height of each row: those of the largest picture in it, in any grid. */
interface CellBoxes {
  readonly widths: readonly number[];
  readonly heights: readonly number[];
}

function cellBoxes({ columns, rows, grids, sizeOf }: PlotContents): CellBoxes {
  const sizes = columns.map((_, x) => rows.map((_, y) => grids.map((_, z) => sizeOf(x, y, z))));
  return {
    widths: sizes.map((column) => Math.max(...column.flat().map(({ width }) => width))),
    heights: rows.map((_, y) =>
      Math.max(...sizes.flatMap((column) => column[y]!.map(({ height }) => height))),
    ),
  };
}

interface GridLayout extends Size {
  /** The box of a cell, from the grid's corner. */
  cellOf(column: number, row: number): Place & Size;
  /** The legend of a grid whose corner is there. */
  textsOf(grid: number, corner: Place): PlacedText[];
}

/** One grid: its title, the columns' labels over the pictures, the rows' labels left of them. */
function layoutGrid(
  { columns, rows, grids }: PlotContents,
  { widths, heights }: CellBoxes,
  label: TextStyle,
  gap: number,
  measure: Measure,
): GridLayout {
  const columnLabels = fitTexts(
    columns.map((text, x) => ({ text, width: widths[x]!, height: COLUMN_LINES * lineHeight(label) })),
    label,
    measure,
  );
  const widest = Math.max(...rows.map((text) => measure(text, label)));
  const rowWidth = Math.ceil(Math.min(widest, mean(widths)));
  const rowLabels = fitTexts(
    rows.map((text, y) => ({ text, width: rowWidth, height: heights[y]! })),
    label,
    measure,
  );
  const left = rowWidth > 0 ? rowWidth + 2 * gap : 0;
  const width = left + sum(widths) + (columns.length - 1) * gap;
  const bold: TextStyle = { ...label, bold: true };
  const titles = fitTexts(
    grids.map((text) => ({ text, width, height: GRID_LINES * lineHeight(bold) })),
    bold,
    measure,
  );
  const withGap = (texts: readonly FittedText[]) => {
    const height = Math.max(...texts.map(heightOf));
    return height > 0 ? height + gap : 0;
  };
  const [titleHeight, columnsHeight] = [withGap(titles), withGap(columnLabels)];
  const top = titleHeight + columnsHeight;
  const cellOf = (x: number, y: number) => ({
    left: left + sum(widths.slice(0, x)) + x * gap,
    top: top + sum(heights.slice(0, y)) + y * gap,
    width: widths[x]!,
    height: heights[y]!,
  });
  return {
    width,
    height: top + sum(heights) + (rows.length - 1) * gap,
    cellOf,
    textsOf: (z, corner) => [
      ...linesOf(titles[z]!, { left: corner.left + (left + width) / 2, top: corner.top }, 0.5, measure),
      ...columnLabels.flatMap((fitted, x) => {
        const cell = cellOf(x, 0);
        // The last line stands on the pictures.
        const above = corner.top + top - gap - heightOf(fitted);
        return linesOf(fitted, { left: corner.left + cell.left + cell.width / 2, top: above }, 0.5, measure);
      }),
      ...rowLabels.flatMap((fitted, y) => {
        const cell = cellOf(0, y);
        const first = corner.top + cell.top + (cell.height - heightOf(fitted)) / 2;
        return linesOf(fitted, { left: corner.left + rowWidth, top: first }, 1, measure);
      }),
    ],
  };
}

/** The lines of a text from `top` down; `share` of each lies left of `left`. */
function linesOf(
  { lines, style }: FittedText,
  { left, top }: Place,
  share: number,
  measure: Measure,
): PlacedText[] {
  return lines.map((text, i) => ({
    text,
    x: Math.round(left - share * measure(text, style)),
    y: Math.round(top + (i + 0.5) * lineHeight(style)),
    style,
  }));
}

function heightOf({ lines, style }: FittedText): number {
  return lines.length * lineHeight(style);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

function mean(values: readonly number[]): number {
  return sum(values) / values.length;
}
