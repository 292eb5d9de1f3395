/**
 * What the names of folders say of the pictures in them: what these show, as classifiers' data sets have it; in kohya's
 * layout also how often each is shown, `10_cat`; and which pictures are for tests.
 */
import { basename } from 'node:path';
import { type FoundPicture, folderOf, innerName } from './listing.ts';

export const labelUses = ['auto', 'always', 'never'] as const;
/** `auto`: where no picture has a caption of its own. `always`: for every picture without one. */
export type LabelUse = (typeof labelUses)[number];

/** Names of folders beside `train` whose pictures are for tests. */
const TEST = ['test', 'validation', 'valid', 'val'];
const SPLITS = ['train', ...TEST];
/** Larger numbers are years, and the like. */
const MOST_REPEATS = 1000;

export interface FolderNames {
  /** What the folder of a picture says that it shows; empty at the top of the folder. */
  labelOf(picture: FoundPicture): string;
  repeatsOf(picture: FoundPicture): number;
}

/** Numbers before names are repeats where all pictures lie in such folders. */
export function folderNames(pictures: readonly FoundPicture[]): FolderNames {
  const folders = new Map(pictures.map((picture) => [picture, ownFolder(picture)]));
  const isKohya = pictures.length > 0 && [...folders.values()].every((name) => kohya(name) !== undefined);
  return {
    labelOf(picture) {
      const name = folders.get(picture)!;
      const label = isKohya ? kohya(name)!.label : SPLITS.includes(name) ? '' : name;
      return label.replaceAll('_', ' ').trim();
    },
    repeatsOf: (picture) => (isKohya ? kohya(folders.get(picture)!)!.repeats : 1),
  };
}

function ownFolder(picture: FoundPicture): string {
  return basename(folderOf(innerName(picture)));
}

function kohya(folder: string): { repeats: number; label: string } | undefined {
  const [, number, label] = /^(\d+)_(.+)$/.exec(folder) ?? [];
  const repeats = Number(number);
  return repeats >= 1 && repeats <= MOST_REPEATS ? { repeats, label: label! } : undefined;
}

/**
 * Which pictures are kept for tests: where there are folders, archives or tables called `train` and `test` (or
 * `validation`), those of `test`; otherwise every twentieth.
 */
export function testRule(
  pictures: readonly FoundPicture[],
): (picture: FoundPicture, index: number) => boolean {
  const isKept = (picture: FoundPicture) => TEST.includes(splitOf(picture));
  const isTrained = (picture: FoundPicture) => splitOf(picture) === 'train';
  return pictures.some(isTrained) && pictures.some(isKept) ? isKept : (_, index) => index % 20 === 19;
}

/** `train/…`, `train-00000-of-00004.parquet`, `validation.tar`; empty for what says nothing. */
function splitOf({ name, holder }: FoundPicture): string {
  const top = name.includes('/') ? name.slice(0, name.indexOf('/')) : '';
  if (SPLITS.includes(top)) return top;
  return SPLITS.find((split) => new RegExp(`^${split}([-_.]|$)`).test(basename(holder))) ?? '';
}
