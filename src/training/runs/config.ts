/** Settings that all training runs share, and how given settings are laid over the defaults. */
import { UsageError } from '../../errors.ts';
import { imageFolderSource } from '../image-folder.ts';
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
  /** Pixels along each side, 64 to 512. */
  readonly size: number;
  /** How often a caption says left, middle or right. */
  readonly positionProbability: number;
}

/** The user's own pictures with captions; see `imageFolderSource`. */
export interface FolderConfig {
  readonly kind: 'folder';
  readonly path: string;
  /** Pixels along each side. */
  readonly resolution: number;
}

export type DataConfig = PostcardsConfig | FolderConfig;

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

export const defaultData: PostcardsConfig = {
  kind: 'postcards',
  seed: 0,
  size: 64,
  positionProbability: 0.5,
};

const dataDefaults: Readonly<Record<DataConfig['kind'], DataConfig>> = {
  postcards: defaultData,
  folder: { kind: 'folder', path: '', resolution: 64 },
};

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

/** `withDefaults` for the settings of a run; those of the data depend on their kind. */
export function runConfigWithDefaults<T extends RunConfig>(defaults: T, given: Partially<T>): T {
  const kind = (given as { data?: { kind?: unknown } }).data?.kind ?? defaults.data.kind;
  if (typeof kind !== 'string' || !Object.hasOwn(dataDefaults, kind)) {
    const kinds = Object.keys(dataDefaults).join(' and ');
    throw new UsageError(`there are no data of the kind ${JSON.stringify(kind)}; there are ${kinds}`);
  }
  const data = kind === defaults.data.kind ? defaults.data : dataDefaults[kind as DataConfig['kind']];
  return withDefaults({ ...defaults, data }, given);
}

/** The pictures that a run trains on. */
export function trainingPictures(data: DataConfig): PictureSource {
  return pictures(data, 'train');
}

/** Pictures of the same kind that no run trains on. */
export function testPictures(data: DataConfig): PictureSource {
  return pictures(data, 'test');
}

function pictures(data: DataConfig, split: 'train' | 'test'): PictureSource {
  if (data.kind === 'postcards') {
    const { seed, size, positionProbability } = data;
    return postcardSource({ split, seed, size, positionProbability });
  }
  if (data.path === '')
    throw new UsageError('the setting "data.path" is missing: name a folder with pictures');
  return imageFolderSource({ path: data.path, resolution: data.resolution, split });
}

function isPlainObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
