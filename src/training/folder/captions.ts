/**
 * Captions of a folder's pictures, as people keep them: `metadata.jsonl` or `metadata.csv` with `file_name` and a column
 * of captions (the layout that Hugging Face `datasets` calls an imagefolder; in any folder, for the pictures below it), or a
 * text beside each picture, `cat.jpg` and `cat.txt` or `cat.caption`.
 */
import { extname, join, posix } from 'node:path';
import { CsvError, parse } from 'csv-parse/sync';
import { InputError } from '../../errors.ts';
import { type JsonObject, parseJsonObject } from '../../files/json.ts';
import { readText } from '../../files/node/text-file.ts';
import { inBatches } from './in-batches.ts';
import { type FolderListing, folderOf, PICTURE_ENDINGS, stemOf } from './listing.ts';

export interface CaptionedPicture {
  /** Within the folder. */
  readonly file: string;
  /** Empty when there is none. */
  readonly caption: string;
}

export interface Captions {
  /** In the order of their names. */
  readonly pictures: readonly CaptionedPicture[];
  /** Pictures that a metadata file does not name and that have no text of their own. */
  readonly leftOut: readonly string[];
}

/** Names of metadata files. */
const METADATA = ['metadata.jsonl', 'metadata.csv'];
/** Bytes: a line for each of a million pictures, and what fits into one text. */
const LARGEST_METADATA = 2 ** 28;
/** Columns that hold captions, if there are several columns: the first of these. */
const CAPTION_COLUMNS = ['text', 'caption', 'captions', 'prompt', 'description'];

/**
 * The captions of all pictures. `column` names the one of the metadata; without it, it is found. Throws InputError for
 * metadata that are damaged, name pictures that are not there or leave open where the captions are, and for texts that
 * are not UTF-8.
 */
export async function readCaptions(path: string, listing: FolderListing, column?: string): Promise<Captions> {
  const metadata = listing.others.filter((name) => METADATA.includes(posix.basename(name)));
  const twice = metadata.find((name, i) => i > 0 && folderOf(name) === folderOf(metadata[i - 1]!));
  if (twice) {
    throw new InputError(
      `${join(path, folderOf(twice))} has both ${METADATA.join(' and ')}; remove one of them`,
      { path: join(path, folderOf(twice)) },
    );
  }
  if (column !== undefined && metadata.length === 0) {
    throw new InputError(
      `${path} has no column "${column}": there is neither ${METADATA.join(' nor ')} in it; leave out captionColumn`,
      { path },
    );
  }
  const named = new Map<string, string[]>();
  // File systems and metadata may spell accents in two ways.
  const present = new Map(listing.pictures.map((name) => [name.normalize('NFC'), name]));
  for (const name of metadata) {
    for (const { file, caption, where } of await readMetadata(path, name, column)) {
      const found = present.get(posix.join(folderOf(name), file.replaceAll('\\', '/')).normalize('NFC'));
      if (found === undefined)
        throw new InputError(
          `${where}: there is no picture ${file} in the folder (${PICTURE_ENDINGS.join(', ')})`,
          { path: join(path, name), code: 'not-found' },
        );
      named.set(found, [...(named.get(found) ?? []), caption]);
    }
  }
  const texts = textsByStem(path, listing);
  const covered = metadata.map(folderOf);
  const pictures: CaptionedPicture[] = [];
  const leftOut: string[] = [];
  const own = await inBatches(listing.pictures, async (file) => {
    const text = named.has(file) ? undefined : texts.get(stemOf(file));
    return text === undefined ? undefined : (await readText(join(path, text))).trim();
  });
  for (const [i, file] of listing.pictures.entries()) {
    for (const caption of named.get(file) ?? []) pictures.push({ file, caption });
    if (named.has(file)) continue;
    const caption = own[i];
    if (caption !== undefined) pictures.push({ file, caption });
    else if (covered.some((folder) => file.startsWith(folder))) leftOut.push(file);
    else pictures.push({ file, caption: '' });
  }
  return { pictures, leftOut };
}

/** Text files by their path without ending. Throws InputError where a picture has two. */
function textsByStem(path: string, { pictures, others }: FolderListing): Map<string, string> {
  const stems = new Set(pictures.map(stemOf));
  const texts = new Map<string, string>();
  for (const name of others) {
    const stem = stemOf(name);
    if (!['.txt', '.caption'].includes(extname(name).toLowerCase()) || !stems.has(stem)) continue;
    const other = texts.get(stem);
    if (other !== undefined) {
      throw new InputError(
        `${join(path, other)} and ${name} are captions of the same picture; remove one of them`,
        { path: join(path, other) },
      );
    }
    texts.set(stem, name);
  }
  return texts;
}

interface Row {
  readonly values: JsonObject;
  /** The file and the line, for messages. */
  readonly where: string;
}

async function readMetadata(path: string, name: string, wanted: string | undefined) {
  const file = join(path, name);
  const text = await readText(file, LARGEST_METADATA);
  const rows = name.endsWith('.csv') ? csvRows(text, file) : jsonRows(text, file);
  const column = captionColumn(rows, file, wanted);
  return rows.map(({ values, where }) => {
    const picture = values.file_name;
    const caption = values[column] ?? '';
    if (typeof picture !== 'string' || typeof caption !== 'string') {
      throw new InputError(`${where}: expected "file_name" and "${column}", both texts`, { path: file });
    }
    return { file: picture, caption: caption.trim(), where };
  });
}

function jsonRows(text: string, file: string): Row[] {
  return text.split('\n').flatMap((line, i): Row[] => {
    const where = `${file}, line ${i + 1}`;
    return line.trim() === '' ? [] : [{ values: parseJsonObject(line, where), where }];
  });
}

function csvRows(text: string, file: string): Row[] {
  try {
    const rows = parse(text, { columns: true, skip_empty_lines: true, trim: true, info: true });
    return (rows as unknown as { record: JsonObject; info: { lines: number } }[]).map(({ record, info }) => ({
      values: record,
      where: `${file}, line ${info.lines}`,
    }));
  } catch (cause) {
    if (!(cause instanceof CsvError)) throw cause;
    throw new InputError(`${file} is not a valid CSV file: ${cause.message}`, {
      cause,
      path: file,
      code: 'damaged',
    });
  }
}

/** The column with the captions: the one asked for, one of the usual names, or the only one there is. */
function captionColumn(rows: readonly Row[], file: string, wanted: string | undefined): string {
  const columns = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
  const others = columns.filter((name) => name !== 'file_name');
  const usual = CAPTION_COLUMNS.find((name) => others.includes(name));
  const found = wanted ?? usual ?? (others.length === 1 ? others[0] : undefined);
  if (columns.includes('file_name') && found !== undefined && others.includes(found)) return found;
  if (rows.length === 0) throw new InputError(`${file} names no pictures`, { path: file });
  const expected = `expected "file_name" and ${wanted === undefined ? 'a column with captions, such as "text"' : `"${wanted}"`}`;
  throw new InputError(
    `${file} has the columns ${columns.map((name) => `"${name}"`).join(', ')}; ${expected}; set captionColumn in the settings of the data to the one that holds them`,
    { path: file },
  );
}
