/** The pictures of a run, opened once. */

import { UsageError } from '../../errors.ts';
import { type PictureSource, postcardSource } from '../data/picture-source.ts';
import { openImageFolder } from '../folder/image-folder.ts';
import type { OnProgress } from '../loop/events.ts';
import type { DataConfig, RunConfig } from './config.ts';

/** Who hears what is found while something is opened, and may end it. */
export interface Watch {
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface TrainingPictures {
  readonly train: PictureSource;
  /** Pictures of the same kind that are not trained on; undefined for folders that are too small to keep some. */
  readonly test: PictureSource | undefined;
}

/** Throws InputError for a folder that cannot be trained on. */
export async function openPictures(
  { data, batch }: Pick<RunConfig, 'data' | 'batch'>,
  watch: Watch,
): Promise<TrainingPictures> {
  if (data.kind === 'folder') {
    const variety = { crop: data.crop === 'random', flip: data.flip };
    const buckets = data.buckets === null ? undefined : { step: data.buckets, least: batch };
    return openImageFolder({ ...data, ...watch, variety, buckets });
  }
  const { seed, size, positionProbability } = data;
  const source = (split: 'train' | 'test') => postcardSource({ split, seed, size, positionProbability });
  return { train: source('train'), test: source('test') };
}

/**
 * Says how many pictures of a folder are trained on without words. Throws UsageError where all are, and nobody has asked for
 * that.
 */
export function requireCaptions({ train }: TrainingPictures, data: DataConfig, { onProgress }: Watch): void {
  if (data.kind !== 'folder') return;
  const { length } = Array.from({ length: train.size }, (_, i) => train.caption(i)).filter(
    (text) => text === '',
  );
  if (length === 0) return;
  const expected =
    'a text beside each, cat.txt beside cat.jpg, or metadata.jsonl, metadata.csv or metadata.parquet';
  if (length < train.size) {
    onProgress?.({
      type: 'warning',
      message: `${train.size - length} of ${train.size} pictures to train on have a caption; expected ${expected}`,
    });
  } else if (data.unconditional) {
    onProgress?.({
      type: 'phase',
      message: `${data.path} has no captions: a model without words is trained`,
    });
  } else {
    throw new UsageError(
      `${data.path} has no captions: expected ${expected}; to train a model without words, ask for it with --unconditional, "unconditional": true in the settings of the data`,
    );
  }
}

/** Pictures on a sample sheet. */
const SAMPLES = 8;

/** Captions that the model has not seen, the same at every call; in small folders also some that it has. */
export function sampleCaptions({ train, test }: TrainingPictures): string[] {
  const kept = test ? spread(test) : [];
  return [...kept, ...spread(train)].slice(0, SAMPLES);
}

/** Captions from the whole of a source, because neighbours in a folder are often alike. */
function spread(source: PictureSource): string[] {
  const count = Math.min(SAMPLES, source.size);
  const stride = Number.isFinite(source.size) ? source.size / count : 1;
  return Array.from({ length: count }, (_, i) => source.caption(Math.floor(i * stride)));
}
