/** Keeping x̂_0 within the range of the data. For models of pixels; latents are unbounded. */

export interface ClippingConfig extends ThresholdingConfig {
  /** Clamp x̂_0 to ±clip_sample_range. */
  readonly clip_sample: boolean;
  readonly clip_sample_range: number;
}

export interface ThresholdingConfig {
  /** Clamp x̂_0 to a quantile of its magnitudes instead, image by image, and divide by it (Saharia et al. 2022). */
  readonly thresholding: boolean;
  readonly dynamic_thresholding_ratio: number;
  /** The largest value that the quantile may take. */
  readonly sample_max_value: number;
}

export const noClipping: ClippingConfig = {
  clip_sample: false,
  clip_sample_range: 1,
  thresholding: false,
  dynamic_thresholding_ratio: 0.995,
  sample_max_value: 1,
};

/** `original` clipped as the configuration says; thresholding takes precedence. */
export function clip(config: ClippingConfig, original: Float32Array, batchSize: number): Float32Array {
  if (config.thresholding) return dynamicThreshold(config, original, batchSize);
  return config.clip_sample ? clamp(original, config.clip_sample_range) : original;
}

/** Each of `batchSize` images divided by s after a clamp to ±s; s is the quantile of its magnitudes, at least 1. */
function dynamicThreshold(config: ClippingConfig, x: Float32Array, batchSize: number): Float32Array {
  const size = x.length / batchSize;
  const result = new Float32Array(x.length);
  for (let from = 0; from < x.length; from += size) {
    const image = x.subarray(from, from + size);
    const magnitude = quantile(image.map(Math.abs), config.dynamic_thresholding_ratio);
    const s = Math.min(Math.max(magnitude, 1), config.sample_max_value);
    result.set(
      clamp(image, s).map((value) => value / s),
      from,
    );
  }
  return result;
}

function clamp(x: Float32Array, range: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(x, (value) => Math.min(Math.max(value, -range), range));
}

/** torch.quantile: linear between the two nearest ranks. */
function quantile(values: Float32Array, q: number): number {
  const sorted = values.sort();
  const rank = Math.fround(Math.fround(q) * (sorted.length - 1));
  const below = sorted[Math.floor(rank)]!;
  const above = sorted[Math.ceil(rank)]!;
  return below + (above - below) * (rank - Math.floor(rank));
}
