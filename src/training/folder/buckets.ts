/**
 * Sizes for pictures of many forms: with about as many pixels as a square, and sides that are multiples of what a model
 * takes, so that little of a picture is cut off (aspect ratio bucketing, as NovelAI introduced it in 2022).
 */
import type { PictureSize } from '../data/picture-source.ts';

export interface BucketOptions {
  /** Sides of the square that no size has more pixels than. */
  readonly resolution: number;
  /** Sides are multiples of so many pixels. */
  readonly step: number;
  /** Pictures of a size at least, or all of them go to sizes that have as many: those of a batch. */
  readonly least: number;
}

/** Sides are between half the resolution and twice as much. */
const LONGEST = 2;

/** All sizes, the narrowest first: for each width the largest height. */
export function bucketSizes({ resolution, step }: Omit<BucketOptions, 'least'>): PictureSize[] {
  const multiple = (side: number) => Math.max(step, Math.floor(side / step) * step);
  const most = resolution * resolution;
  const sizes = new Map<string, PictureSize>();
  for (let width = multiple(resolution / LONGEST); width <= LONGEST * resolution; width += step) {
    const height = Math.min(multiple(most / width), multiple(LONGEST * resolution));
    if (width * height > most) continue;
    for (const size of [
      { width, height },
      { width: height, height: width },
    ]) {
      sizes.set(`${size.width}×${size.height}`, size);
    }
  }
  return [...sizes.values()].sort((a, b) => a.width / a.height - b.width / b.height);
}

/** A size for each picture, by its form. */
export function assignBuckets(pictures: readonly PictureSize[], options: BucketOptions): PictureSize[] {
  let sizes = bucketSizes(options);
  for (;;) {
    const assigned = pictures.map((picture) => nearestSize(picture, sizes));
    const counts = sizes.map((size) => assigned.filter((one) => one === size).length);
    const used = counts.filter((count) => count > 0);
    const fewest = Math.min(...used);
    if (used.length <= 1 || fewest >= options.least) return assigned;
    const given = counts.indexOf(fewest);
    sizes = sizes.filter((_, i) => i !== given && counts[i]! > 0);
  }
}

/** The size whose form is nearest, and of several the largest. */
export function nearestSize(picture: PictureSize, sizes: readonly PictureSize[]): PictureSize {
  const form = ({ width, height }: PictureSize) => Math.log(width / height);
  let best = sizes[0]!;
  for (const size of sizes) {
    const closer = Math.abs(form(size) - form(picture)) - Math.abs(form(best) - form(picture));
    const isLarger = size.width * size.height > best.width * best.height;
    if (closer < -1e-9 || (closer < 1e-9 && isLarger)) best = size;
  }
  return best;
}
