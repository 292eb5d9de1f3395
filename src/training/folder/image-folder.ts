/** A folder of pictures with captions, an archive or a table of them, as a source of training pictures. */
import { createHash, type Hash } from 'node:crypto';
import { InputError } from '../../errors.ts';
import { listed } from '../../messages.ts';
import type { PictureSize, PictureSource, Variety } from '../data/picture-source.ts';
import type { OnProgress } from '../loop/events.ts';
import { assignBuckets, type BucketOptions, nearestSize } from './buckets.ts';
import { type CaptionedPicture, readCaptions } from './captions.ts';
import { type CheckedPicture, checkPicture } from './check-picture.ts';
import { inBatches } from './in-batches.ts';
import { type LabelUse, testRule } from './labels.ts';
import { listFolder, PICTURE_ENDINGS } from './listing.ts';
import { readPixels } from './read-pixels.ts';

export interface ImageFolderOptions {
  readonly path: string;
  /** Pictures are scaled to cover a square of so many pixels and cut around their middle. */
  readonly resolution: number;
  /** The column of the metadata that holds captions; by default one of the usual names, or the only one. */
  readonly captionColumn?: string | null;
  /** Whether names of folders are captions. Default `auto`. */
  readonly labels?: LabelUse;
  readonly variety?: Variety;
  /** In place of squares, sizes by the forms of the pictures. */
  readonly buckets?: Omit<BucketOptions, 'resolution'> | undefined;
  /** Hears how many pictures there are, and of those that are left out. */
  readonly onProgress?: OnProgress | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface ImageFolder {
  readonly train: PictureSource;
  /** Undefined for folders that are too small to keep some for tests. */
  readonly test: PictureSource | undefined;
}

/** A picture that was looked at. */
export interface FolderPicture extends CaptionedPicture {
  readonly checked: CheckedPicture;
}

/** What a folder holds, before anything of it is left out. */
export interface FolderContent {
  readonly pictures: readonly FolderPicture[];
  /** Pictures that the metadata do not name, of which nothing more is known. */
  readonly leftOut: readonly string[];
}

/** Lists the folder and looks at the beginning and the end of every picture. Throws InputError for damaged captions. */
export async function readFolder({
  path,
  captionColumn,
  labels,
  onProgress,
  signal,
}: Omit<ImageFolderOptions, 'resolution' | 'variety'>): Promise<FolderContent> {
  const listing = await listFolder(path);
  const { pictures, leftOut } = await readCaptions(path, listing, {
    column: captionColumn ?? undefined,
    labels,
  });
  if (pictures.length === 0) {
    throw new InputError(
      `${path} holds no pictures; expected files that end in ${PICTURE_ENDINGS.join(', ')}, or .tar or .parquet files with pictures`,
      { path },
    );
  }
  const checked = await inBatches(pictures, ({ picture }) => checkPicture(picture), {
    signal,
    onDone: (done) =>
      onProgress?.({
        type: 'phase',
        message: `looking at the pictures in ${path}`,
        done,
        total: pictures.length,
      }),
  });
  return { pictures: pictures.map((picture, i) => ({ ...picture, checked: checked[i]! })), leftOut };
}

/** The share of pictures that may be unreadable. */
export const UNREADABLE_SHARE = 0.1;

/**
 * Opens a folder. Pictures in its folder `test` or `validation` beside `train` are kept for tests, otherwise every twentieth
 * in the order of their names. Throws InputError when there is no folder, it holds no pictures, more than a tenth of them
 * cannot be read, or its captions are damaged.
 */
export async function openImageFolder(options: ImageFolderOptions): Promise<ImageFolder> {
  const { path, onProgress } = options;
  const { pictures, leftOut } = await readFolder(options);
  const warn = (message: string) => onProgress?.({ type: 'warning', message });
  if (leftOut.length > 0) {
    warn(`${path}: left out ${count(leftOut)}, because the metadata do not name them: ${listed(leftOut)}`);
  }
  const unreadable = pictures.filter(({ checked }) => checked.fault !== undefined);
  const faults = unreadable.map(({ picture, checked }) => `${picture.name} (${checked.fault})`);
  if (unreadable.length > UNREADABLE_SHARE * pictures.length) {
    throw new InputError(
      `${path}: ${faults.length} of ${pictures.length} pictures cannot be read: ${listed(faults)}; remove them or save them again`,
      { path, code: 'cannot-read' },
    );
  }
  if (unreadable.length > 0)
    warn(`${path}: left out ${count(faults)}, because they cannot be read: ${listed(faults)}`);

  const { train: trained, test: kept } = splitFolder(pictures);
  const sizes = sizesFor(options, trained, kept);
  const train = pictureSource(options, trained, 'train', sizes);
  // What a model is tried on is always the same.
  const test = pictureSource({ ...options, variety: ALWAYS_ALIKE }, kept, 'test', sizes);
  const captioned = [...trained, ...kept].filter(hasCaption).length;
  onProgress?.({
    type: 'phase',
    message: `${path}: ${trained.length + kept.length} pictures, ${captioned} of them with a caption; ${train.pictures} to train on, ${test.pictures} kept for tests`,
  });
  return { train, test: test.size > 0 ? test : undefined };
}

/** What of a folder is trained on, and what is kept for tests: pictures that can be read. */
export function splitFolder(pictures: readonly FolderPicture[]): {
  readonly train: readonly FolderPicture[];
  readonly test: readonly FolderPicture[];
} {
  const whole = pictures.filter(({ checked }) => checked.fault === undefined);
  const isTest = testRule(whole.map(({ picture }) => picture));
  const test = whole.map(({ picture }, i) => isTest(picture, i));
  return { train: whole.filter((_, i) => !test[i]), test: whole.filter((_, i) => test[i]) };
}

export function hasCaption({ captions }: CaptionedPicture): boolean {
  return captions.some((caption) => caption !== '');
}

function pictureSource(
  { resolution, variety = ALWAYS_ALIKE, buckets }: ImageFolderOptions,
  pictures: readonly FolderPicture[],
  split: 'train' | 'test',
  sizes: ReadonlyMap<FolderPicture, PictureSize>,
): PictureSource {
  const contents = digest((hash) => {
    for (const found of pictures) {
      const { picture, checked } = found;
      const { size, head, tail } = checked;
      if (buckets) hash.update(JSON.stringify(sizes.get(found)!));
      hash
        .update(JSON.stringify([picture.name, size]))
        .update(head)
        .update(tail);
    }
  });
  const examples = pictures.flatMap(({ captions, repeats }, picture) =>
    Array.from({ length: repeats }, () => captions.map((caption) => ({ picture, caption }))).flat(),
  );
  const size: PictureSize = { height: resolution, width: resolution };
  return {
    identity: `${pictures.length} pictures of a folder, ${split}, ${resolution}×${resolution}${buckets ? ' pixels' : ''}, ${contents}`,
    captionIdentity: digest((hash) => hash.update(JSON.stringify(examples.map(({ caption }) => caption)))),
    size: examples.length,
    shuffled: false,
    variety,
    pictures: pictures.length,
    ...size,
    pictureOf: (example) => examples[example]!.picture,
    sizes: pictures.length > 0 ? sizesIn(pictures.map((picture) => sizes.get(picture)!)) : [size],
    sizeOf: (index) => sizes.get(pictures[index]!)!,
    pixels: (indices, views, asked) =>
      readPixels(
        indices.map((index) => pictures[index]!.picture),
        asked ?? sizes.get(pictures[indices[0]!]!) ?? size,
        views,
      ),
    caption: (example) => examples[example]!.caption,
  };
}

/** A size for each picture: the square, or one of a form like its own, of those that occur in training. */
function sizesFor(
  { resolution, buckets, onProgress }: ImageFolderOptions,
  trained: readonly FolderPicture[],
  kept: readonly FolderPicture[],
): Map<FolderPicture, PictureSize> {
  const square = { height: resolution, width: resolution };
  if (!buckets) return new Map([...trained, ...kept].map((picture) => [picture, square]));
  const checked = (pictures: readonly FolderPicture[]) => pictures.map((picture) => picture.checked);
  const sizes = assignBuckets(checked(trained), { ...buckets, resolution });
  const counts = new Map<PictureSize, number>();
  for (const size of sizes) counts.set(size, (counts.get(size) ?? 0) + 1);
  const told = [...counts].map(([{ width, height }, count]) => `${width}×${height} (${count})`);
  onProgress?.({ type: 'phase', message: `sizes of the pictures to train on: ${told.join(', ')}` });
  const ofKept = checked(kept).map((picture) => nearestSize(picture, [...counts.keys()]));
  return new Map([
    ...trained.map((picture, i) => [picture, sizes[i]!] as const),
    ...kept.map((picture, i) => [picture, ofKept[i]!] as const),
  ]);
}

/** Each once, the one with the most pixels first. */
function sizesIn(sizes: readonly PictureSize[]): PictureSize[] {
  return [...new Set(sizes)].sort((a, b) => b.width * b.height - a.width * a.height || a.width - b.width);
}

const ALWAYS_ALIKE: Variety = { crop: false, flip: false };

function digest(add: (hash: Hash) => void): string {
  const hash = createHash('sha256');
  add(hash);
  return hash.digest('hex').slice(0, 32);
}

function count({ length }: readonly unknown[]): string {
  return length === 1 ? '1 picture' : `${length} pictures`;
}
