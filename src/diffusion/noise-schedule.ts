/**
 * The variance-preserving forward process x_t = α_t x_0 + σ_t ε with α_t² + σ_t² = 1 (Ho et al. 2020, eq. 4),
 * from the fields of a diffusers scheduler_config.json. Everything is rounded to float32 where diffusers rounds
 * it, because published checkpoints were trained and are sampled with those numbers.
 */
import { UsageError } from '../errors.ts';
import { weightedSum } from './elementwise.ts';

export const betaSchedules = ['linear', 'scaled_linear', 'squaredcos_cap_v2'] as const;
export type BetaSchedule = (typeof betaSchedules)[number];

export interface BetaScheduleConfig {
  readonly num_train_timesteps: number;
  readonly beta_start: number;
  readonly beta_end: number;
  readonly beta_schedule: BetaSchedule;
  /** The betas themselves, in place of a formula. */
  readonly trained_betas: readonly number[] | null;
}

export interface NoiseScheduleConfig extends BetaScheduleConfig {
  /** Shifts and scales √ᾱ so that the last timestep is pure noise (Lin et al. 2023, algorithm 1). */
  readonly rescale_betas_zero_snr: boolean;
}

/** Stable Diffusion's schedule, and LCMScheduler's defaults. */
export const stableDiffusionSchedule: NoiseScheduleConfig = {
  num_train_timesteps: 1000,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: 'scaled_linear',
  trained_betas: null,
  rescale_betas_zero_snr: false,
};

/** The schedule of Ho et al. 2020, section 4: what diffusers' other schedulers take when a config says nothing. */
export const ddpmBetas: BetaScheduleConfig = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: 'linear',
  trained_betas: null,
};

/** The same for those that can rescale it. */
export const ddpmSchedule: NoiseScheduleConfig = { ...ddpmBetas, rescale_betas_zero_snr: false };

/** Tables over the training timesteps t = 0, 1, …; each [T]. */
export interface NoiseSchedule {
  readonly length: number;
  readonly betas: Float32Array;
  /** ᾱ_t, the product of 1 − β up to and with t. */
  readonly alphasCumprod: Float32Array;
  /** α_t = √ᾱ_t, the share of the data. */
  readonly alphas: Float32Array;
  /** σ_t = √(1 − ᾱ_t), the share of the noise. */
  readonly sigmas: Float32Array;
}

/** Throws UsageError for a beta schedule that does not exist, and for trained betas of the wrong number. */
export function noiseSchedule(config: Partial<NoiseScheduleConfig> = {}): NoiseSchedule {
  const full = { ...stableDiffusionSchedule, ...config };
  const original = betasOf(full);
  const betas = full.rescale_betas_zero_snr ? rescaleZeroTerminalSnr(original) : original;
  return scheduleOfAlphasCumprod(betas, cumulativeProduct(betas));
}

/** A schedule with other ᾱ than its betas give (solvers that must divide by α keep it above zero). */
export function scheduleOfAlphasCumprod(betas: Float32Array, alphasCumprod: Float32Array): NoiseSchedule {
  return {
    length: betas.length,
    betas,
    alphasCumprod,
    alphas: alphasCumprod.map(Math.sqrt),
    sigmas: alphasCumprod.map((a) => Math.sqrt(Math.fround(1 - a))),
  };
}

/**
 * x_t = α_t x_0 + σ_t ε for a batch.
 * @param original x_0, [B, ...] @param noise ε, the same shape
 * @param timesteps t for each image of the batch, or one t for all
 */
export function addNoise(
  schedule: NoiseSchedule,
  original: Float32Array,
  noise: Float32Array,
  timesteps: readonly number[],
): Float32Array<ArrayBuffer> {
  return perImage(timesteps, original, noise, (t, x, e) =>
    weightedSum(at(schedule.alphas, t), x, at(schedule.sigmas, t), e),
  );
}

function perImage(
  timesteps: readonly number[],
  x: Float32Array,
  y: Float32Array,
  f: (t: number, x: Float32Array, y: Float32Array) => Float32Array,
): Float32Array<ArrayBuffer> {
  const size = x.length / timesteps.length;
  if (!Number.isInteger(size)) {
    throw new RangeError(`${x.length} elements do not divide into ${timesteps.length} images`);
  }
  const result = new Float32Array(x.length);
  timesteps.forEach((t, i) => {
    const [from, to] = [i * size, (i + 1) * size];
    result.set(f(t, x.subarray(from, to), y.subarray(from, to)), from);
  });
  return result;
}

function at(table: Float32Array, t: number): number {
  const value = table[t];
  if (value === undefined) throw new RangeError(`timestep ${t}: the schedule has 0 to ${table.length - 1}`);
  return value;
}

function betasOf(config: NoiseScheduleConfig): Float32Array {
  const { num_train_timesteps: length, beta_start, beta_end, beta_schedule, trained_betas } = config;
  if (trained_betas !== null) {
    if (trained_betas.length === length) return Float32Array.from(trained_betas);
    throw new UsageError(
      `trained_betas has ${trained_betas.length} values for ${length} num_train_timesteps; the two must agree`,
    );
  }
  switch (beta_schedule) {
    case 'linear':
      return linspace(beta_start, beta_end, length);
    case 'scaled_linear':
      return linspace(Math.sqrt(beta_start), Math.sqrt(beta_end), length).map((x) => x * x);
    case 'squaredcos_cap_v2': {
      // Nichol and Dhariwal 2021, eq. 17.
      const alphaBar = (t: number) => Math.cos((((t + 0.008) / 1.008) * Math.PI) / 2) ** 2;
      return Float32Array.from({ length }, (_, i) =>
        Math.min(1 - alphaBar((i + 1) / length) / alphaBar(i / length), 0.999),
      );
    }
    default:
      throw new UsageError(
        `beta_schedule "${beta_schedule satisfies never}" is not supported; use one of ${betaSchedules.join(', ')}`,
      );
  }
}

/** torch.linspace in float32: from the left up to the middle, from the right beyond it. */
function linspace(start: number, end: number, length: number): Float32Array {
  const { fround } = Math;
  const [from, to] = [fround(start), fround(end)];
  const step = fround(fround(to - from) / (length - 1));
  return Float32Array.from({ length }, (_, i) =>
    i < Math.floor(length / 2) ? from + step * i : to - step * (length - 1 - i),
  );
}

/** ∏ (1 − β), accumulated in float64 as torch.cumprod does on a CPU. */
function cumulativeProduct(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= Math.fround(1 - beta);
    return product;
  });
}

function rescaleZeroTerminalSnr(betas: Float32Array): Float32Array {
  const { fround } = Math;
  const roots = cumulativeProduct(betas).map(Math.sqrt);
  const first = roots[0]!;
  const last = roots.at(-1)!;
  const scale = fround(first / fround(first - last));
  const alphasBar = roots.map((root) => fround(root - last) * scale).map((root) => root * root);
  return alphasBar.map((value, t) => 1 - (t === 0 ? value : fround(value / alphasBar[t - 1]!)));
}
