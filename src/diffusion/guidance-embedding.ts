/** The guidance scale as an input of the network (Meng et al. 2023; Luo et al. 2023, section 4.2). */

/**
 * Sinusoidal embedding of w, [B] → [B, dim]: sin in the first half, cos in the second, zero in an odd last place.
 * w is the papers' guidance, guidance_scale − 1 in diffusers' terms. The timestep embedding differs: it has cos
 * first. Rounded to float32 where diffusers rounds, since the arguments reach 1000 w and their sines show it.
 */
export function guidanceScaleEmbedding(w: readonly number[], dim: number): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(dim) || dim < 4) {
    throw new RangeError(`a guidance embedding has at least 4 dimensions, got ${dim}`);
  }
  const { fround } = Math;
  const half = Math.floor(dim / 2);
  const rate = fround(fround(Math.log(10000)) / (half - 1));
  const result = new Float32Array(w.length * dim);
  w.forEach((scale, row) => {
    const scaled = fround(fround(scale) * 1000);
    for (let i = 0; i < half; i++) {
      const angle = fround(scaled * fround(Math.exp(fround(i * -rate))));
      result[row * dim + i] = Math.sin(angle);
      result[row * dim + half + i] = Math.cos(angle);
    }
  });
  return result;
}
