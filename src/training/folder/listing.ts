/**
 * What lies in a folder of training pictures: files, files in tar archives (webdataset's shards), and pictures in the
 * rows of Parquet files, all by a path; and what is passed over there.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, extname, join, sep } from 'node:path';
import { InputError } from '../../errors.ts';
import { type ByteSource, requireRange } from '../../files/files.ts';
import type { JsonObject } from '../../files/json.ts';
import { fileSource } from '../../files/node/folder.ts';
import { unreadable } from '../../files/node/regular-file.ts';
import { openParquet, type ParquetTable, withoutPictures } from './parquet.ts';
import { readTarIndex } from './tar.ts';

/** Endings of pictures, in lower case. */
export const PICTURE_ENDINGS = ['.png', '.jpg', '.jpeg', '.webp', '.avif', '.gif', '.bmp', '.tif', '.tiff'];

export interface FoundFile {
  /** Its path within the folder with forward slashes: `cats/1.png`, `train-0.tar/1.png`, `train-0.parquet/17`. */
  readonly name: string;
  /** The archive or the table that holds it, by the path within the folder; empty for files. */
  readonly holder: string;
  open(): Promise<ByteSource>;
}

export interface FoundPicture extends FoundFile {
  /** Of a picture in a table: the other columns of its row. */
  readonly row?: JsonObject;
}

export interface FolderListing {
  /** Both in the order of their names. */
  readonly pictures: readonly FoundPicture[];
  readonly others: readonly FoundFile[];
}

/** Copies and thumbnails that programs keep beside people's pictures, besides hidden files and folders. */
const FOREIGN = new Set(['__MACOSX', '@eaDir']);
/** Tables that describe pictures which are files. */
const DESCRIBING = 'metadata.parquet';

/** Lists a folder and those in it, or one archive or table. Throws InputError when it is missing or damaged. */
export async function listFolder(path: string): Promise<FolderListing> {
  const stats = await stat(path).catch((error) => {
    throw isAbsent(error) ? noFolder(path, error) : unreadable(path, error);
  });
  if (!stats.isDirectory()) return sorted(await filesIn(path, ''));
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch((error) => {
    throw noFolder(path, error);
  });
  const found: Found[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const name = join(entry.parentPath, entry.name).slice(join(path, sep).length).replaceAll(sep, '/');
    if (isForeign(name)) continue;
    const kind = extname(name).toLowerCase();
    if (kind === '.tar' || (kind === '.parquet' && basename(name) !== DESCRIBING)) {
      found.push(...(await filesIn(join(path, name), name)));
    } else {
      found.push({ name, holder: '', open: () => fileSource(join(path, name)) });
    }
  }
  return sorted(found);
}

type Found = FoundPicture & { readonly isPicture?: true };

function isAbsent(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}

function noFolder(path: string, cause: unknown): InputError {
  const { code } = cause as NodeJS.ErrnoException;
  return new InputError(`cannot read the folder ${path} (${code}); expected one with pictures`, {
    cause,
    path,
    code: code === 'ENOENT' ? 'not-found' : 'cannot-read',
  });
}

function isForeign(name: string): boolean {
  return name.split('/').some((part) => part.startsWith('.') || FOREIGN.has(part));
}

function sorted(found: readonly Found[]): FolderListing {
  const byName = [...found].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const isPicture = ({ name, isPicture }: Found) =>
    isPicture ?? PICTURE_ENDINGS.includes(extname(name).toLowerCase());
  return {
    pictures: byName.filter(isPicture),
    others: byName.filter((file) => !isPicture(file)),
  };
}

/** What an archive or a table holds. `holder` is its path within the folder; empty for one that is all there is. */
async function filesIn(path: string, holder: string): Promise<Found[]> {
  const kind = extname(path).toLowerCase();
  if (kind === '.tar') return membersOf(path, holder);
  if (kind !== '.parquet') {
    throw new InputError(`${path} is a file; expected a folder with pictures, or a .tar or .parquet file`, {
      path,
    });
  }
  const table = await openParquet(await fileSource(path));
  if (table.pictures !== undefined) return rowsOf(table, holder);
  // Beside pictures it is a file like any other.
  if (holder === '') throw withoutPictures(table);
  return [{ name: holder, holder: '', open: () => fileSource(path) }];
}

async function membersOf(path: string, holder: string): Promise<Found[]> {
  const archive = await fileSource(path);
  return (await readTarIndex(path)).flatMap(({ name, offset, size }): Found[] => {
    const inner = name.split('/').filter((part) => part !== '.' && part !== '');
    if (isForeign(inner.join('/'))) return [];
    const source: ByteSource = {
      name: `${path}/${inner.join('/')}`,
      size,
      async read(at, length) {
        requireRange(source, at, length);
        return archive.read(offset + at, length);
      },
    };
    return [{ name: nameIn(holder, inner.join('/')), holder, open: async () => source }];
  });
}

function rowsOf(table: ParquetTable, holder: string): Found[] {
  const digits = String(table.rows.length).length;
  return table.rows.map((row, i) => ({
    name: nameIn(holder, String(i).padStart(digits, '0')),
    holder: holder === '' ? basename(table.name) : holder,
    isPicture: true,
    row,
    async open() {
      const bytes = await table.picture(i);
      const source: ByteSource = {
        name: `${table.name}, row ${i}`,
        size: bytes.length,
        async read(at, length) {
          requireRange(source, at, length);
          return bytes.subarray(at, at + length);
        },
      };
      return source;
    },
  }));
}

function nameIn(holder: string, name: string): string {
  return holder === '' ? name : `${holder}/${name}`;
}

/** The folder of a path within the folder, with a slash at its end; empty at the top. */
export function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

/** A path without its ending: what a picture and its caption have in common. */
export function stemOf(name: string): string {
  return name.slice(0, name.length - extname(name).length);
}

/** The path within the archive that holds it; within the folder for a file, nothing for a row of a table. */
export function innerName({ name, holder, row }: FoundPicture): string {
  if (row !== undefined) return '';
  return holder !== '' && name.startsWith(`${holder}/`) ? name.slice(holder.length + 1) : name;
}
