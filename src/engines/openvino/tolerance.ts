/** How far a result on OpenVINO may be from the reference, relative to the largest element (and to 1). */
import type { Precision } from '../precision.ts';

/** Half a unit in the last place of 8 and 11 bits, for sums of a few products of rounded numbers. */
export const openVinoTolerance: Readonly<Record<Precision, number>> = {
  float32: 1e-5,
  bfloat16: 2 ** -6,
  float16: 2 ** -9,
};
