/** Adam7, PNG's interlacing (PNG specification, 8.2): seven passes, each a picture of every so many pixels. */

import type { Image } from './image.ts';

/** The first pixel of a pass and the distance to the next, in pixels of the whole. */
export interface Pass {
  readonly left: number;
  readonly top: number;
  readonly across: number;
  readonly down: number;
}

/** Without interlacing: all of it. */
export const WHOLE: readonly Pass[] = [{ left: 0, top: 0, across: 1, down: 1 }];

export const ADAM7: readonly Pass[] = [
  { left: 0, top: 0, across: 8, down: 8 },
  { left: 4, top: 0, across: 8, down: 8 },
  { left: 0, top: 4, across: 4, down: 8 },
  { left: 2, top: 0, across: 4, down: 4 },
  { left: 0, top: 2, across: 2, down: 4 },
  { left: 1, top: 0, across: 2, down: 2 },
  { left: 0, top: 1, across: 1, down: 2 },
];

/** Puts the pixels of a pass where they belong. */
export function putPass(part: Image, { left, top, across, down }: Pass, whole: Image): void {
  const { channels } = whole;
  let from = 0;
  for (let y = top; y < whole.height; y += down) {
    for (let x = left; x < whole.width; x += across) {
      const to = (y * whole.width + x) * channels;
      for (let c = 0; c < channels; c++) whole.data[to + c] = part.data[from++]!;
    }
  }
}
