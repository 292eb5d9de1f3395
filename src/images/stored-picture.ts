/** Pixels as a file stores them, and what is still to be done to show them as they are meant. */

import type { Orientation } from './formats/exif.ts';
import type { Image } from './image.ts';

export interface StoredPicture {
  readonly image: Image;
  readonly orientation: Orientation;
  /** ICC profile of the colours; undefined for those of sRGB. */
  readonly profile: Uint8Array | undefined;
}
