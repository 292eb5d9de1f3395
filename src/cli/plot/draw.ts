/** A plot's sheet: the legend is painted at once, the pictures as they come. */
import { createCanvas } from '@napi-rs/canvas';
import { UsageError } from '../../errors.ts';
import type { Image } from '../../images/image.ts';
import { drawImage, readCanvas } from '../../images/node/canvas-image.ts';
import { missingGlyphs, textPainter } from '../../images/node/text-painter.ts';
import { MAX_PIXELS } from '../../images/picture-size.ts';
import { layoutPlot, type PlotContents } from './layout.ts';

export interface Sheet {
  readonly width: number;
  readonly height: number;
  /** Characters of its legend that the fonts lack. */
  readonly missing: readonly string[];
  /** Every pixel as scale × scale. */
  draw(picture: Image, column: number, row: number, grid: number): void;
  /** An RGB image on white. */
  image(): Image;
}

/**
 * Throws UsageError when the sheet would be larger than the pictures that are read here. contents: sizes are those of
 * the pictures enlarged. fonts: false paints the text without the machine's fonts.
 */
export function createSheet(contents: PlotContents, scale: number, fonts?: boolean): Sheet {
  const measuring = textPainter(createCanvas(1, 1).getContext('2d'), fonts);
  const { width, height, texts, placeOf } = layoutPlot(contents, measuring.width);
  if (width * height > MAX_PIXELS) {
    throw new UsageError(
      `the plot would be ${width}×${height} pixels, more than the ${MAX_PIXELS / 2 ** 20} megapixels of a picture; take fewer values, smaller pictures${scale > 1 ? ', or a smaller --scale' : ''}`,
    );
  }
  const context = createCanvas(width, height).getContext('2d');
  context.fillStyle = '#ffffff';
  context.fillRect(0, 0, width, height);
  const painter = textPainter(context, fonts);
  for (const { text, x, y, style } of texts) painter.paint(text, x, y, style);
  return {
    width,
    height,
    missing: missingGlyphs(
      texts.map(({ text }) => text),
      fonts,
    ),
    draw(picture, column, row, grid) {
      const { left, top } = placeOf(column, row, grid);
      drawImage(context, picture, left, top, scale);
    },
    image: () => readCanvas(context),
  };
}
