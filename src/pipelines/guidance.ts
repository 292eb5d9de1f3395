/** Classifier-free guidance on what a network predicts. */
import { UsageError } from '../errors.ts';

/**
 * ε_u + s (ε_c − ε_u), s the guidance scale (Ho and Salimans 2022, eq. 6 with w = s − 1).
 * both: predictions [2B, ...], the unconditional ones first, as diffusers orders them → [B, ...].
 */
export function guide(both: Float32Array, scale: number): Float32Array<ArrayBuffer> {
  const size = both.length / 2;
  const guided = new Float32Array(size);
  for (let i = 0; i < size; i++) guided[i] = both[i]! + scale * (both[size + i]! - both[i]!);
  return guided;
}

/**
 * Brings the spread of a guided prediction back towards that of the conditional one, against over-exposure
 * (Lin et al. 2023, eq. 15 and 16). guided, conditional: [B, ...]; rescale φ from 0 (as it is) to 1.
 */
export function rescaleGuided(
  guided: Float32Array,
  conditional: Float32Array,
  batch: number,
  rescale: number,
): Float32Array<ArrayBuffer> {
  if (guided.length !== conditional.length || guided.length % batch !== 0) {
    throw new UsageError(
      `guidance: ${guided.length} and ${conditional.length} elements for a batch of ${batch}`,
    );
  }
  const size = guided.length / batch;
  const result = new Float32Array(guided.length);
  for (let image = 0; image < batch; image++) {
    const range = [image * size, (image + 1) * size] as const;
    const ratio = deviation(conditional.subarray(...range)) / deviation(guided.subarray(...range));
    const factor = rescale * ratio + (1 - rescale);
    for (let i = range[0]; i < range[1]; i++) result[i] = guided[i]! * factor;
  }
  return result;
}

/** The sample's standard deviation, with Bessel's correction as torch has it. */
function deviation(values: Float32Array): number {
  let sum = 0;
  for (const value of values) sum += value;
  const mean = sum / values.length;
  let squares = 0;
  for (const value of values) squares += (value - mean) ** 2;
  return Math.sqrt(squares / (values.length - 1));
}
