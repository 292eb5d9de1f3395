/** Postcards as files, in the layout that Hugging Face `datasets` loads as an `imagefolder`. */

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { InputError, UsageError } from '../../errors.ts';
import { createImage } from '../../images/image.ts';
import { encodePng } from '../../images/png.ts';
import { writeFileAtomically } from '../../weights/node/atomic-write.ts';
import { type PostcardOptions, postcard } from '../postcards/postcards.ts';
import { renderPostcard } from '../postcards/render.ts';
import { createContext } from './canvas.ts';

export interface WritePostcardsOptions extends PostcardOptions {
  /** Pictures 0 to count − 1 of the split are written. */
  count: number;
  /** Hears after every batch how many pictures are there. */
  onProgress?: (done: number, total: number) => void;
  /** Stops between two batches; the same call later goes on from there. */
  signal?: AbortSignal;
}

/** Pictures that are encoded and written at the same time. */
const BATCH = 32;

/** What the pictures in a folder depend on; kept there so that a later call does not mix data sets. */
const SETTINGS_FILE = 'postcards.json';
const METADATA_FILE = 'metadata.jsonl';

function fileName(index: number): string {
  return `${String(index).padStart(8, '0')}.png`;
}

/** Names in the folder; none when it does not exist yet. */
async function listFolder(directory: string): Promise<Set<string>> {
  try {
    return new Set(await readdir(directory));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return new Set();
    throw new InputError(`cannot read the folder ${directory} (${code})`, {
      cause: error,
      path: directory,
      code: 'cannot-read',
    });
  }
}

/** Refuses a folder that holds other pictures than this call would write. */
async function checkFolder(directory: string, present: Set<string>, settings: string): Promise<void> {
  if (present.has(SETTINGS_FILE)) {
    const found = (await readFile(join(directory, SETTINGS_FILE), 'utf8')).trim();
    if (found === settings) return;
    throw new InputError(
      `${directory} holds postcards with ${found}, not ${settings}; choose another folder or the same settings`,
      { path: directory },
    );
  }
  const other = [...present].find((name) => name.endsWith('.png') || name === METADATA_FILE);
  if (other !== undefined) {
    throw new InputError(`${directory} holds other pictures (${other}); choose an empty or a new folder`, {
      path: directory,
    });
  }
}

/**
 * Writes `count` postcards as `00000000.png`, … and `metadata.jsonl`, one line per picture with `file_name`, `text`
 * (the caption) and `record`. Pictures that are there already, from a call that was stopped or asked for fewer,
 * are kept.
 *
 * @returns how many pictures were written and how many were there already
 * @throws UsageError for a count out of range, InputError when the folder holds something else or cannot be written,
 *   and the signal's reason when it was aborted
 */
export async function writePostcards(
  directory: string,
  { count, onProgress, signal, split, seed = 0, size = 64, positionProbability = 0.5 }: WritePostcardsOptions,
): Promise<{ written: number; kept: number }> {
  if (!Number.isInteger(count) || count < 1) {
    throw new UsageError(`${count} postcards: expected a whole number from 1`);
  }
  const options = { split, seed, size, positionProbability };
  // Folders of earlier versions, whose pictures all had 64×64 pixels, go on.
  const settings = JSON.stringify(size === 64 ? { split, seed, positionProbability } : options);
  const present = await listFolder(directory);
  await checkFolder(directory, present, settings);
  const bytes = (text: string): Uint8Array[] => [new TextEncoder().encode(text)];
  if (!present.has(SETTINGS_FILE))
    await writeFileAtomically(join(directory, SETTINGS_FILE), bytes(`${settings}\n`));

  // More pictures than asked for stay, and stay in the metadata.
  let total = count;
  while (present.has(fileName(total))) total++;
  const missing = Array.from({ length: count }, (_, index) => index).filter(
    (index) => !present.has(fileName(index)),
  );
  const context = createContext(size, size);
  for (let start = 0; start < missing.length; start += BATCH) {
    signal?.throwIfAborted();
    const writes = missing.slice(start, start + BATCH).map(async (index) => {
      const card = postcard(index, options);
      const image = createImage(size, size, 3, renderPostcard(context, card));
      const png = await encodePng(image, { Description: card.caption });
      await writeFileAtomically(join(directory, fileName(index)), [png]);
    });
    await Promise.all(writes);
    onProgress?.(count - missing.length + Math.min(start + BATCH, missing.length), count);
  }

  const lines = Array.from({ length: total }, (_, index) => {
    const { caption, record } = postcard(index, options);
    return `${JSON.stringify({ file_name: fileName(index), text: caption, record })}\n`;
  });
  await writeFileAtomically(join(directory, METADATA_FILE), bytes(lines.join('')));
  return { written: missing.length, kept: count - missing.length };
}
