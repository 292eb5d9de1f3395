/**
 * Tables in Parquet files: texts of all rows, and pictures inside of them as data sets on the hub have them, in a column
 * of `{bytes, path}`, or of bytes alone. Pictures are read by row groups, which is how they are compressed.
 */
import { basename } from 'node:path';
import * as zlib from 'node:zlib';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import { type AsyncBuffer, type FileMetaData, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { InputError } from '../../errors.ts';
import type { ByteSource } from '../../files/files.ts';
import { isJsonObject, type JsonObject, parseJsonObject } from '../../files/json.ts';
import { listed } from '../../messages.ts';

export interface ParquetTable {
  readonly name: string;
  /** The columns but for the pictures; whole numbers that stand for names are those names. */
  readonly rows: readonly JsonObject[];
  /** The column that holds pictures. */
  readonly pictures: string | undefined;
  /** The picture in a row; empty where there is none. Throws InputError when it cannot be read. */
  picture(row: number): Promise<Uint8Array>;
}

/** Bytes of row groups that are kept, for their other pictures. */
const KEPT = 2 ** 28;
/** A row group is in memory as a whole. */
const LARGEST_GROUP = 2 ** 30;

/** Throws InputError for a file that is no Parquet, damaged, or compressed in a way that this Node does not know. */
export async function openParquet(source: ByteSource): Promise<ParquetTable> {
  const file = asyncBuffer(source);
  const read = <T>(reading: () => Promise<T>) => asInputError(source.name, reading);
  const metadata = await read(() => parquetMetadataAsync(file));
  const groups = rowGroups(metadata);
  const pictures = pictureColumn(metadata);
  const columns = topLevel(metadata).filter((name) => name !== pictures);
  const names = classNames(metadata, source.name);
  const options = { file, metadata, compressors, utf8: false } as const;
  const texts = columns.length === 0 ? [] : await read(() => parquetReadObjects({ ...options, columns }));
  const rows = Array.from({ length: Number(metadata.num_rows) }, (_, i) => named(texts[i] ?? {}, names));

  /** Row groups by their first row, the latest used last. */
  const kept = new Map<number, { readonly bytes: number; readonly values: Promise<readonly unknown[]> }>();
  const group = (row: number): { values: Promise<readonly unknown[]>; first: number } => {
    const { first, end } = groups.find((group) => row < group.end)!;
    const known = kept.get(first);
    kept.delete(first);
    const bytes =
      known?.bytes ??
      columnBytes(
        metadata,
        groups.findIndex((group) => group.first === first),
        pictures!,
      );
    if (bytes > LARGEST_GROUP) {
      throw new InputError(
        `${source.name} has ${bytes} bytes of pictures in one row group; expected at most ${LARGEST_GROUP}: write it with smaller ones, e.g. row_group_size=100`,
        { path: source.name },
      );
    }
    const values =
      known?.values ??
      read(async () => {
        const found = await parquetReadObjects({
          ...options,
          columns: [pictures!],
          rowStart: first,
          rowEnd: end,
        });
        return found.map((row) => row[pictures!] as unknown);
      });
    kept.set(first, { bytes, values });
    let sum = [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    for (const [other, { bytes }] of kept) {
      if (sum <= KEPT || other === first) break;
      kept.delete(other);
      sum -= bytes;
    }
    return { values, first };
  };
  return {
    name: source.name,
    rows,
    pictures,
    async picture(row) {
      const { values, first } = group(row);
      const value = (await values)[row - first];
      const bytes = isJsonObject(value) && 'bytes' in value ? value.bytes : value;
      return bytes instanceof Uint8Array ? bytes : new Uint8Array();
    },
  };
}

function asyncBuffer(source: ByteSource): AsyncBuffer {
  return {
    byteLength: source.size,
    async slice(start, end = source.size) {
      const bytes = await source.read(start, end - start);
      const { buffer, byteOffset, byteLength } = bytes;
      return buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
    },
  };
}

type Decompress = (bytes: Uint8Array) => Uint8Array;

/** Since Node 22.15; TypeScript's declarations are those of an older one. */
const { zstdDecompressSync } = zlib as unknown as { zstdDecompressSync?: Decompress };

/** Snappy, which most files have, is the reader's own. */
const compressors = {
  GZIP: (bytes: Uint8Array) => gunzipSync(bytes),
  BROTLI: (bytes: Uint8Array) => brotliDecompressSync(bytes),
  ...(zstdDecompressSync && { ZSTD: (bytes: Uint8Array) => zstdDecompressSync(bytes) }),
};

async function asInputError<T>(name: string, reading: () => Promise<T>): Promise<T> {
  try {
    return await reading();
  } catch (cause) {
    if (cause instanceof InputError) throw cause;
    throw new InputError(
      `${name} is not a Parquet file that can be read: ${(cause as Error).message}; write it with the compression "snappy"`,
      { cause, path: name, code: 'damaged' },
    );
  }
}

function rowGroups({ row_groups }: FileMetaData): { first: number; end: number }[] {
  let end = 0;
  return row_groups.map(({ num_rows }) => {
    const first = end;
    end += Number(num_rows);
    return { first, end };
  });
}

function columnBytes({ row_groups }: FileMetaData, group: number, column: string): number {
  return row_groups[group]!.columns.reduce((sum, { meta_data: data }) => {
    return data?.path_in_schema[0] === column ? sum + Number(data.total_uncompressed_size) : sum;
  }, 0);
}

function topLevel({ row_groups }: FileMetaData): string[] {
  const paths = row_groups[0]?.columns.map(({ meta_data }) => meta_data?.path_in_schema[0] ?? '') ?? [];
  return [...new Set(paths)];
}

/** The column with a field `bytes`, or else one of the usual names that holds bytes. */
function pictureColumn({ row_groups, schema }: FileMetaData): string | undefined {
  const columns = row_groups[0]?.columns.flatMap(({ meta_data }) => (meta_data ? [meta_data] : [])) ?? [];
  const isBytes = (column: (typeof columns)[number]) =>
    column.type === 'BYTE_ARRAY' &&
    schema.some(
      (element) =>
        element.name === column.path_in_schema.at(-1) &&
        element.type === 'BYTE_ARRAY' &&
        element.converted_type === undefined &&
        element.logical_type === undefined,
    );
  const nested = columns.find(
    (column) => column.path_in_schema.length === 2 && column.path_in_schema[1] === 'bytes' && isBytes(column),
  );
  const plain = columns.find(
    (column) =>
      column.path_in_schema.length === 1 &&
      ['image', 'img', 'picture', 'jpg', 'png'].includes(column.path_in_schema[0]!.toLowerCase()) &&
      isBytes(column),
  );
  return (nested ?? plain)?.path_in_schema[0];
}

/** What whole numbers of a column stand for, by what Hugging Face's `datasets` writes beside the schema. */
function classNames({ key_value_metadata }: FileMetaData, name: string): Map<string, readonly string[]> {
  const text = key_value_metadata?.find(({ key }) => key === 'huggingface')?.value;
  const found = new Map<string, readonly string[]>();
  if (text === undefined) return found;
  const { info } = parseJsonObject(text, `${name}, its text "huggingface",`);
  const features = isJsonObject(info) && isJsonObject(info.features) ? info.features : {};
  for (const [column, feature] of Object.entries(features)) {
    if (!isJsonObject(feature) || feature._type !== 'ClassLabel' || !Array.isArray(feature.names)) continue;
    found.set(column, feature.names.map(String));
  }
  return found;
}

function named(
  row: Readonly<Record<string, unknown>>,
  names: ReadonlyMap<string, readonly string[]>,
): JsonObject {
  const entries = Object.entries(row).map(([column, value]) => {
    const known = names.get(column);
    const isNumber = typeof value === 'bigint' || typeof value === 'number';
    return [column, known && isNumber ? (known[Number(value)] ?? '') : value] as const;
  });
  return Object.fromEntries(entries);
}

/** Says what a table has in place of pictures. */
export function withoutPictures({ name, rows }: ParquetTable): InputError {
  const columns = Object.keys(rows[0] ?? {});
  return new InputError(
    `${name} holds no pictures: expected a column of {bytes, path}, found ${listed(columns.map((column) => `"${column}"`))} in ${basename(name)}`,
    { path: name },
  );
}
