/** The size of pictures or latents. */

export interface Size {
  readonly height: number;
  readonly width: number;
}

/** What diffusers' `sample_size` stands for: one number for both sides, or height and width. */
export function sizeOf(sampleSize: number | readonly [number, number] | null): Size | undefined {
  if (sampleSize === null) return undefined;
  const [height, width] = typeof sampleSize === 'number' ? [sampleSize, sampleSize] : sampleSize;
  return { height, width };
}

/** The side of a square; undefined for other sizes, and for none. */
export function squareSide(size: Size | undefined): number | undefined {
  return size?.height === size?.width ? size?.width : undefined;
}
