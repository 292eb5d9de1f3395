/**
 * Captions of pictures, as people keep them: a text beside each, `cat.jpg` and `cat.txt` or `cat.caption`, or `cat.json` as
 * webdataset's shards have it; `metadata.jsonl`, `metadata.csv` or `metadata.parquet` with `file_name` and a column of
 * captions (the layout that Hugging Face `datasets` calls an imagefolder; in any folder, for the pictures below it); a
 * column of the table that holds the pictures; and the names of folders.
 */
import { extname, join, posix } from 'node:path';
import { CsvError, parse } from 'csv-parse/sync';
import { InputError } from '../../errors.ts';
import { decodeText, LARGEST_TEXT, tooLarge } from '../../files/files.ts';
import { type JsonObject, parseJsonObject } from '../../files/json.ts';
import { inBatches } from './in-batches.ts';
import { folderNames, type LabelUse } from './labels.ts';
import {
  type FolderListing,
  type FoundFile,
  type FoundPicture,
  folderOf,
  PICTURE_ENDINGS,
  stemOf,
} from './listing.ts';
import { openParquet } from './parquet.ts';

export interface CaptionedPicture {
  readonly picture: FoundPicture;
  /** At least one; empty where there is none. Several are several examples of the picture. */
  readonly captions: readonly string[];
  /** How often a pass over the pictures shows it. */
  readonly repeats: number;
}

export interface Captions {
  /** In the order of their names. */
  readonly pictures: readonly CaptionedPicture[];
  /** Pictures that a metadata file does not name and that have no text of their own. */
  readonly leftOut: readonly string[];
}

export interface CaptionOptions {
  /** The column of metadata that holds captions; without it, it is found. */
  readonly column?: string | undefined;
  readonly labels?: LabelUse | undefined;
}

/** Names of metadata files. */
const METADATA = ['metadata.jsonl', 'metadata.csv', 'metadata.parquet'];
/** Bytes: a line for each of a million pictures, and what fits into one text. */
const LARGEST_METADATA = 2 ** 28;
/** Columns that hold captions, if there are several columns: the first of these. */
const CAPTION_COLUMNS = ['text', 'caption', 'captions', 'prompt', 'description', 'label'];

/**
 * The captions of all pictures in the folder `path`. Throws InputError for metadata that are damaged, name pictures that
 * are not there or leave open where the captions are, and for texts that are not UTF-8.
 */
export async function readCaptions(
  path: string,
  listing: FolderListing,
  { column, labels = 'auto' }: CaptionOptions = {},
): Promise<Captions> {
  const metadata = listing.others.filter(({ name }) => METADATA.includes(posix.basename(name)));
  const twice = metadata.find(({ name }, i) => i > 0 && folderOf(name) === folderOf(metadata[i - 1]!.name));
  if (twice) {
    const both = metadata.filter(({ name }) => folderOf(name) === folderOf(twice.name));
    throw new InputError(
      `${join(path, folderOf(twice.name))} has both ${both.map(({ name }) => posix.basename(name)).join(' and ')}; remove one of them`,
      { path: join(path, folderOf(twice.name)) },
    );
  }
  const texts = textsByStem(path, listing);
  const hasColumns =
    metadata.length > 0 ||
    listing.pictures.some(({ row }) => row !== undefined) ||
    [...texts.values()].some(isJson);
  if (column !== undefined && !hasColumns) {
    throw new InputError(
      `${path} has no column "${column}": there is neither ${METADATA.join(' nor ')} in it; leave out captionColumn`,
      { path },
    );
  }
  const named = await metadataCaptions(path, listing, metadata, column);
  for (const [name, captions] of tableCaptions(path, listing, column)) named.set(name, captions);
  const covered = metadata.map(({ name }) => folderOf(name));
  const own = await inBatches(listing.pictures, async ({ name }) => {
    const text = named.has(name) ? undefined : texts.get(stemOf(name));
    return text && captionIn(text, path, column);
  });
  const { labelOf, repeatsOf } = folderNames(listing.pictures);
  const hasOwn = named.size > 0 || own.some((caption) => caption !== undefined && caption !== '');
  const label = (picture: FoundPicture) =>
    labels === 'always' || (labels === 'auto' && !hasOwn) ? labelOf(picture) : '';
  const pictures: CaptionedPicture[] = [];
  const leftOut: string[] = [];
  for (const [i, picture] of listing.pictures.entries()) {
    const { name } = picture;
    const captions = named.get(name) ?? (own[i] === undefined ? undefined : [own[i]]);
    if (captions === undefined && covered.some((folder) => name.startsWith(folder))) leftOut.push(name);
    else {
      const some = (captions ?? ['']).map((caption) => (caption === '' ? label(picture) : caption));
      pictures.push({ picture, captions: some, repeats: repeatsOf(picture) });
    }
  }
  return { pictures, leftOut };
}

/** What metadata files say, by the pictures that they name. */
async function metadataCaptions(
  path: string,
  listing: FolderListing,
  metadata: readonly FoundFile[],
  column: string | undefined,
): Promise<Map<string, string[]>> {
  const named = new Map<string, string[]>();
  // File systems and metadata may spell accents in two ways.
  const present = new Map(listing.pictures.map(({ name }) => [name.normalize('NFC'), name]));
  for (const found of metadata) {
    const file = join(path, found.name);
    const rows = await readRows(found, file);
    const wanted = captionColumn(rows, file, column, 'file_name');
    for (const { values, where } of rows) {
      const picture = values.file_name;
      const captions = captionsOf(values[wanted]);
      if (typeof picture !== 'string' || captions === undefined) {
        throw new InputError(`${where}: expected "file_name" and "${wanted}", both texts`, { path: file });
      }
      const inFolder = posix.join(folderOf(found.name), picture.replaceAll('\\', '/')).normalize('NFC');
      const name = present.get(inFolder);
      if (name === undefined) {
        throw new InputError(
          `${where}: there is no picture ${picture} in the folder (${PICTURE_ENDINGS.join(', ')})`,
          { path: file, code: 'not-found' },
        );
      }
      named.set(name, [...(named.get(name) ?? []), ...captions]);
    }
  }
  return named;
}

/** The captions of pictures in tables, from their own rows; none for tables that have no further column. */
function tableCaptions(
  path: string,
  { pictures }: FolderListing,
  column: string | undefined,
): Map<string, string[]> {
  const tables = new Map<string, FoundPicture[]>();
  for (const picture of pictures) {
    if (picture.row) tables.set(picture.holder, [...(tables.get(picture.holder) ?? []), picture]);
  }
  const named = new Map<string, string[]>();
  for (const [holder, rows] of tables) {
    const table = rows.map(({ row }) => ({ values: row!, where: holder }));
    const file = path.endsWith(holder) ? path : join(path, holder);
    if (column === undefined && !rows.some(({ row }) => Object.values(row!).some(holdsText))) continue;
    const wanted = captionColumn(table, file, column);
    for (const [i, { name, row }] of rows.entries()) {
      const captions = captionsOf(row![wanted]);
      if (captions === undefined) {
        throw new InputError(`${file}, row ${i}: expected "${wanted}" to be a text, or a list of texts`, {
          path: file,
        });
      }
      named.set(name, captions);
    }
  }
  return named;
}

function holdsText(value: unknown): boolean {
  return typeof value === 'string' || (Array.isArray(value) && value.some(holdsText));
}

/** Captions as metadata hold them: a text, several, or none. Undefined for anything else. */
function captionsOf(value: unknown): string[] | undefined {
  if (value === undefined || value === null) return [''];
  const texts: unknown[] = Array.isArray(value) ? value : [value];
  if (!texts.every((text) => typeof text === 'string')) return undefined;
  return texts.length === 0 ? [''] : texts.map((text) => text.trim());
}

const TEXT_ENDINGS = ['.txt', '.caption'];

function isJson({ name }: FoundFile): boolean {
  return extname(name).toLowerCase() === '.json';
}

/** Text files by their path without ending. Throws InputError where a picture has two. */
function textsByStem(path: string, { pictures, others }: FolderListing): Map<string, FoundFile> {
  const stems = new Set(pictures.map(({ name }) => stemOf(name)));
  const texts = new Map<string, FoundFile>();
  for (const file of others) {
    const stem = stemOf(file.name);
    const isPlain = TEXT_ENDINGS.includes(extname(file.name).toLowerCase());
    if (!stems.has(stem) || !(isPlain || isJson(file))) continue;
    const other = texts.get(stem);
    if (other !== undefined && isPlain && !isJson(other)) {
      throw new InputError(
        `${join(path, other.name)} and ${file.name} are captions of the same picture; remove one of them`,
        { path: join(path, other.name) },
      );
    }
    // Downloaders write what they know of a picture beside its caption.
    if (other === undefined || isPlain) texts.set(stem, file);
  }
  return texts;
}

/** The caption in a file beside a picture; undefined where a JSON file has none. */
async function captionIn(
  found: FoundFile,
  path: string,
  column: string | undefined,
): Promise<string | undefined> {
  const file = join(path, found.name);
  const text = await textIn(found, file, LARGEST_TEXT);
  if (!isJson(found)) return text.trim();
  const values = parseJsonObject(text, file);
  const name = column ?? CAPTION_COLUMNS.find((name) => typeof values[name] === 'string');
  const caption = name === undefined ? undefined : values[name];
  return typeof caption === 'string' ? caption.trim() : undefined;
}

async function textIn(found: FoundFile, file: string, limit: number): Promise<string> {
  const source = await found.open();
  if (source.size > limit) throw tooLarge(file, limit);
  return decodeText(await source.read(0, source.size), file);
}

interface Row {
  readonly values: JsonObject;
  /** The file and the line, for messages. */
  readonly where: string;
}

async function readRows(found: FoundFile, file: string): Promise<Row[]> {
  if (found.name.endsWith('.parquet')) {
    const { rows } = await openParquet(await found.open());
    return rows.map((values, i) => ({ values, where: `${file}, row ${i}` }));
  }
  const text = await textIn(found, file, LARGEST_METADATA);
  return found.name.endsWith('.csv') ? csvRows(text, file) : jsonRows(text, file);
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

/**
 * The column with the captions: the one asked for, one of the usual names, or the only one there is. `key` is the column
 * that names the pictures, where they are not in the table themselves.
 */
function captionColumn(
  rows: readonly Row[],
  file: string,
  wanted: string | undefined,
  key?: 'file_name',
): string {
  const columns = [...new Set(rows.flatMap(({ values }) => Object.keys(values)))];
  const others = columns.filter((name) => name !== key);
  const usual = CAPTION_COLUMNS.find((name) => others.includes(name));
  const found = wanted ?? usual ?? (others.length === 1 ? others[0] : undefined);
  const hasKey = key === undefined || columns.includes(key);
  if (hasKey && found !== undefined && others.includes(found)) return found;
  if (rows.length === 0) throw new InputError(`${file} names no pictures`, { path: file });
  const caption = wanted === undefined ? 'a column with captions, such as "text"' : `"${wanted}"`;
  const expected = key === undefined ? caption : `"${key}" and ${caption}`;
  throw new InputError(
    `${file} has the columns ${columns.map((name) => `"${name}"`).join(', ')}; expected ${expected}; set captionColumn in the settings of the data to the one that holds them`,
    { path: file },
  );
}
