/** Settings that all training runs share, and how given settings are laid over the defaults. */
import { UsageError } from '../../errors.ts';
import type { LearningRateSchedule } from '../learning-rate.ts';
import type { AdamWOptions } from '../optimizer.ts';
import { type PictureSource, postcardSource } from '../picture-source.ts';
import type { Cadence } from '../trainer.ts';

export interface OptimizerConfig extends Omit<AdamWOptions, 'decays'> {
  readonly learningRate: number;
  readonly schedule: LearningRateSchedule;
  /** Gradients are scaled down to this global L2 norm. */
  readonly maxGradientNorm: number;
}

export interface PostcardsConfig {
  readonly kind: 'postcards';
  readonly seed: number;
  /** How often a caption says left, middle or right. */
  readonly positionProbability: number;
}

export type DataConfig = PostcardsConfig;

export interface RunConfig {
  readonly data: DataConfig;
  /** Updates of the parameters. */
  readonly steps: number;
  /** Pictures per update. */
  readonly batch: number;
  /** Decides initial weights, order and noise. */
  readonly seed: number;
  readonly optimizer: OptimizerConfig;
  /** Decay of the average that is saved as the model. */
  readonly ema: number;
  readonly cadence: Cadence;
}

export const defaultData: DataConfig = { kind: 'postcards', seed: 0, positionProbability: 0.5 };

export const defaultCadence: Cadence = {
  logEvery: 20,
  checkpointEverySteps: 500,
  checkpointEveryMinutes: 5,
  sampleEvery: 500,
};

/** Every field optional, at every depth. */
export type Partially<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [K in keyof T]?: Partially<T[K]> }
    : T;

/**
 * The defaults with the given values laid over them, objects field by field. Throws UsageError for a field that the
 * defaults do not have.
 */
export function withDefaults<T extends object>(defaults: T, given: Partially<T>, path = ''): T {
  const result = { ...defaults } as Record<string, unknown>;
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined) continue;
    if (!(name in defaults)) {
      const known = Object.keys(defaults).join(', ');
      throw new UsageError(`there is no training setting "${path}${name}"; there are ${known}`);
    }
    const fallback = result[name];
    result[name] =
      isPlainObject(fallback) && isPlainObject(value)
        ? withDefaults(fallback, value, `${path}${name}.`)
        : value;
  }
  return result as T;
}

/** The pictures that a run trains on. */
export function trainingPictures(data: DataConfig): PictureSource {
  return postcardSource({ split: 'train', seed: data.seed, positionProbability: data.positionProbability });
}

/** Pictures of the same kind that no run trains on. */
export function testPictures(data: DataConfig): PictureSource {
  return postcardSource({ split: 'test', seed: data.seed, positionProbability: data.positionProbability });
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
