/**
 * The structure that TIFF files and EXIF blocks share (TIFF 6.0, section 2): directories of fields, each a number that
 * says what it is, a type, and values.
 */

import { InputError } from '../../errors.ts';
import { FileBytes } from './file-bytes.ts';

/** Bytes of the types BYTE, ASCII, SHORT, LONG and so on, by their numbers. */
const TYPE_BYTES = [0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8];
const BYTE = 1;
const SHORT = 3;
const LONG = 4;
/** Values of a field that is read: a strip for each row of the largest pictures needs fewer. */
const MOST_VALUES = 2 ** 20;

export interface TiffField {
  readonly type: number;
  readonly count: number;
  /** Where its values lie. */
  readonly offset: number;
}

export interface TiffDirectory {
  readonly file: FileBytes;
  readonly fields: ReadonlyMap<number, TiffField>;
}

/** The first directory. `kind` is for messages. Throws InputError for what is no such structure, or cut off. */
export function readTiffDirectory(data: Uint8Array, kind: string): TiffDirectory {
  const order = String.fromCharCode(...data.subarray(0, 2));
  const file = new FileBytes(data, kind, order === 'II');
  const version = data.length < 8 ? 0 : file.uint16(2);
  if ((order !== 'II' && order !== 'MM') || (version !== 42 && version !== 43)) {
    throw new InputError(`${kind} is damaged: it does not begin as TIFF does`, { code: 'damaged' });
  }
  if (version === 43) throw new InputError(`${kind} is a BigTIFF, which is not read; save it as TIFF`);
  return directoryAt(file, file.uint32(4));
}

/** A further directory, to which a field points; undefined when there is no such field. */
export function subDirectory({ file, fields }: TiffDirectory, tag: number): TiffDirectory | undefined {
  const field = fields.get(tag);
  return field && directoryAt(file, file.uint32(field.offset));
}

function directoryAt(file: FileBytes, start: number): TiffDirectory {
  const count = file.uint16(start);
  file.require(start + 2, 12 * count, 'a directory');
  const fields = new Map<number, TiffField>();
  for (let at = start + 2; at < start + 2 + 12 * count; at += 12) {
    const [tag, type, values] = [file.uint16(at), file.uint16(at + 2), file.uint32(at + 4)];
    const length = (TYPE_BYTES[type] ?? 0) * values;
    // Up to four bytes stand in the field itself.
    fields.set(tag, { type, count: values, offset: length <= 4 ? at + 8 : file.uint32(at + 8) });
  }
  return { file, fields };
}

/** Whole numbers of a field; undefined when there is no such field. Throws InputError for other values. */
export function numbersOf({ file, fields }: TiffDirectory, tag: number): number[] | undefined {
  const field = fields.get(tag);
  if (field === undefined) return undefined;
  const { type, count, offset } = field;
  if ((type !== BYTE && type !== SHORT && type !== LONG) || count > MOST_VALUES) {
    throw new InputError(
      `${file.kind} is damaged: field ${tag} has ${count} values of type ${type}; expected whole numbers`,
      { code: 'damaged' },
    );
  }
  const size = TYPE_BYTES[type]!;
  file.require(offset, size * count, `field ${tag}`);
  const at = (i: number) => offset + size * i;
  const read = { [BYTE]: 'uint8', [SHORT]: 'uint16', [LONG]: 'uint32' } as const;
  return Array.from({ length: count }, (_, i) => file[read[type]](at(i)));
}

/** The first number of a field, or `otherwise`. Throws InputError as `numbersOf`. */
export function numberOf(directory: TiffDirectory, tag: number, otherwise: number): number {
  return numbersOf(directory, tag)?.[0] ?? otherwise;
}

/** The bytes of a field's values; undefined when there is no such field. */
export function bytesOf({ file, fields }: TiffDirectory, tag: number): Uint8Array | undefined {
  const field = fields.get(tag);
  return field && file.slice(field.offset, (TYPE_BYTES[field.type] ?? 0) * field.count, `field ${tag}`);
}
