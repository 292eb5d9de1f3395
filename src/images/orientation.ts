/** Turning pictures as EXIF says. */

import type { Orientation } from './formats/exif.ts';
import { createImage, type Image } from './image.ts';

/** The picture as it is to be seen; the same one where nothing is to be done. */
export function oriented(image: Image, orientation: Orientation): Image {
  if (orientation === 1) return image;
  const { width, height, channels, data } = image;
  // From 5 on, what was a row is shown as a column.
  const turned = orientation >= 5;
  const shown = turned ? createImage(height, width, channels) : createImage(width, height, channels);
  // Where in rows and columns the stored picture begins at its far end.
  const fromRight = [2, 3, 7, 8].includes(orientation);
  const fromBottom = [3, 4, 6, 7].includes(orientation);
  let to = 0;
  for (let y = 0; y < shown.height; y++) {
    for (let x = 0; x < shown.width; x++) {
      const [column, row] = turned ? [y, x] : [x, y];
      const from =
        channels *
        ((fromBottom ? height - 1 - row : row) * width + (fromRight ? width - 1 - column : column));
      for (let c = 0; c < channels; c++) shown.data[to++] = data[from + c]!;
    }
  }
  return shown;
}
