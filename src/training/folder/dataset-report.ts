/** What is in a folder of pictures, before anybody trains on it: counts, sizes, captions, and what is wrong. */
import { createHash } from 'node:crypto';
import {
  type FolderPicture,
  hasCaption,
  type ImageFolderOptions,
  readFolder,
  splitFolder,
  UNREADABLE_SHARE,
} from './image-folder.ts';
import { inBatches } from './in-batches.ts';

export interface DatasetReport {
  /** All that are there, but for those that metadata leave out. */
  readonly pictures: number;
  /** Bytes of all of them. */
  readonly bytes: number;
  /** Pictures that metadata do not name. */
  readonly leftOut: readonly string[];
  readonly unreadable: readonly { readonly picture: string; readonly fault: string }[];
  /** Pictures with the same bytes, in groups. */
  readonly duplicates: readonly (readonly string[])[];
  /** In pixels; undefined where no picture can be read. */
  readonly sizes: SizesReport | undefined;
  readonly captions: CaptionsReport;
  readonly training: {
    /** Whether a training would take the folder: not where too many pictures are unreadable. */
    readonly accepted: boolean;
    readonly pictures: number;
    /** Pictures of one pass: with repeats, and once for each caption. */
    readonly examples: number;
    /** Pictures that are kept for tests. */
    readonly test: number;
  };
}

export interface SizesReport {
  readonly smallest: Size;
  readonly largest: Size;
  /** The commonest, with how many pictures have it. */
  readonly commonest: readonly (Size & { readonly pictures: number })[];
  /** Width by height: the least, the middle one and the largest. */
  readonly aspectRatios: readonly [number, number, number];
  /** Pictures with a side shorter than the resolution, which are enlarged. */
  readonly enlarged: number;
}

interface Size {
  readonly width: number;
  readonly height: number;
}

export interface CaptionsReport {
  /** Pictures with one, and without. */
  readonly with: number;
  readonly without: number;
  readonly distinct: number;
  /** Words of a caption: the fewest, the middle and the most; undefined where there are no captions. */
  readonly words: readonly [number, number, number] | undefined;
  readonly commonest: readonly { readonly word: string; readonly captions: number }[];
}

/** Commonest words and sizes that are told. */
const SHOWN = { words: 10, sizes: 5 };

/** Reads as much of the folder as a training does before its first step, and pictures that may be the same. */
export async function datasetReport(options: ImageFolderOptions): Promise<DatasetReport> {
  const { pictures, leftOut } = await readFolder(options);
  const unreadable = pictures.flatMap(({ picture, checked }) =>
    checked.fault === undefined ? [] : [{ picture: picture.name, fault: checked.fault }],
  );
  const whole = pictures.filter(({ checked }) => checked.fault === undefined);
  const { train, test } = splitFolder(pictures);
  return {
    pictures: pictures.length,
    bytes: pictures.reduce((sum, { checked }) => sum + checked.size, 0),
    leftOut,
    unreadable,
    duplicates: await duplicates(whole, options.signal),
    sizes: sizesOf(whole, options.resolution),
    captions: captionsOf(whole),
    training: {
      accepted: unreadable.length <= UNREADABLE_SHARE * pictures.length && train.length > 0,
      pictures: train.length,
      examples: train.reduce((sum, { captions, repeats }) => sum + captions.length * repeats, 0),
      test: test.length,
    },
  };
}

/** Files that begin, end and are as long alike are read whole. */
async function duplicates(
  pictures: readonly FolderPicture[],
  signal: AbortSignal | undefined,
): Promise<string[][]> {
  const alike = groups(pictures, ({ checked: { size, head, tail } }) =>
    createHash('sha256').update(`${size} `).update(head).update(tail).digest('hex'),
  );
  const candidates = [...alike.values()].filter(({ length }) => length > 1).flat();
  const digests = new Map<FolderPicture, string>();
  await inBatches(
    candidates,
    async (found) => {
      const source = await found.picture.open();
      digests.set(
        found,
        createHash('sha256')
          .update(await source.read(0, source.size))
          .digest('hex'),
      );
    },
    { signal },
  );
  return [...groups(candidates, (found) => digests.get(found)!).values()]
    .filter(({ length }) => length > 1)
    .map((group) => group.map(({ picture }) => picture.name));
}

function groups<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const found = new Map<string, T[]>();
  for (const item of items) {
    const group = found.get(keyOf(item));
    if (group) group.push(item);
    else found.set(keyOf(item), [item]);
  }
  return found;
}

function sizesOf(pictures: readonly FolderPicture[], resolution: number): SizesReport | undefined {
  if (pictures.length === 0) return undefined;
  const sizes = pictures.map(({ checked: { width, height } }) => ({ width, height }));
  const byArea = [...sizes].sort((a, b) => a.width * a.height - b.width * b.height);
  const counts = [...groups(sizes, ({ width, height }) => `${width}×${height}`).values()];
  return {
    smallest: byArea[0]!,
    largest: byArea.at(-1)!,
    commonest: counts
      .sort((a, b) => b.length - a.length)
      .slice(0, SHOWN.sizes)
      .map((group) => ({ ...group[0]!, pictures: group.length })),
    aspectRatios: spread(sizes.map(({ width, height }) => width / height)),
    enlarged: sizes.filter(({ width, height }) => Math.min(width, height) < resolution).length,
  };
}

function captionsOf(pictures: readonly FolderPicture[]): CaptionsReport {
  const captions = pictures.flatMap((picture) => picture.captions).filter((caption) => caption !== '');
  const words = captions.map((caption) => caption.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
  const counts = new Map<string, number>();
  for (const each of words) {
    for (const word of new Set(each)) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const captioned = pictures.filter(hasCaption).length;
  return {
    with: captioned,
    without: pictures.length - captioned,
    distinct: new Set(captions).size,
    words: words.length === 0 ? undefined : spread(words.map(({ length }) => length)),
    commonest: [...counts]
      .sort(([a, many], [b, more]) => more - many || (a < b ? -1 : 1))
      .slice(0, SHOWN.words)
      .map(([word, captions]) => ({ word, captions })),
  };
}

/** The least, the middle one and the largest. */
function spread(values: readonly number[]): [number, number, number] {
  const sorted = [...values].sort((a, b) => a - b);
  return [sorted[0]!, sorted[Math.floor(sorted.length / 2)]!, sorted.at(-1)!];
}
