/** Which pictures of a training come nearest to others: how one sees whether a model copies what it was trained on. */
import type { SeenPicture } from './latents-cache.ts';

export interface NearLatents {
  /** Undefined where none are known. */
  readonly seen: SeenPicture | undefined;
  /** The root of the mean squared difference of their latents. */
  readonly distance: number;
}

/** The nearest of the known latents for each of some others, `size` numbers each, one after the other. */
export function nearestLatents(
  others: Float32Array,
  size: number,
  known: Iterable<{ readonly seen: SeenPicture; readonly latents: Float32Array }>,
): NearLatents[] {
  const count = others.length / size;
  const least = new Array<number>(count).fill(Number.POSITIVE_INFINITY);
  const nearest = new Array<SeenPicture | undefined>(count).fill(undefined);
  for (const { seen, latents } of known) {
    for (let n = 0; n < count; n++) {
      let sum = 0;
      for (let i = 0; i < size; i++) sum += (others[n * size + i]! - latents[i]!) ** 2;
      if (sum >= least[n]!) continue;
      least[n] = sum;
      nearest[n] = seen;
    }
  }
  return nearest.map((seen, n) => ({ seen, distance: Math.sqrt(least[n]! / size) }));
}
