/**
 * What lies where in a tar archive, so that its files can be read in place: POSIX ustar and pax (IEEE 1003.1, `pax`),
 * and GNU's long names, which are what Python's `tarfile`, webdataset and `tar` write.
 */
import type { FileHandle } from 'node:fs/promises';
import { InputError } from '../../errors.ts';
import { withRegularFile } from '../../files/node/regular-file.ts';

export interface TarMember {
  readonly name: string;
  /** Where its bytes begin in the archive. */
  readonly offset: number;
  readonly size: number;
}

const BLOCK = 512;
/** Bytes of a name or of a header's texts. */
const LONGEST_TEXT = 2 ** 20;

/** The regular files in an archive, in its order. Throws InputError when it is no tar archive, damaged or cut off. */
export async function readTarIndex(path: string): Promise<TarMember[]> {
  return withRegularFile(path, async (file, size) => {
    const members: TarMember[] = [];
    /** What the headers before a member say of it. */
    let said: { name?: string; size?: number } = {};
    for (let at = 0; ; ) {
      const header = await read(file, at, BLOCK, size, path);
      if (header.every((byte) => byte === 0)) return members;
      if (!hasChecksum(header)) {
        throw new InputError(
          `${path} is no tar archive, or damaged: there is no header at byte ${at}; expected an archive that is not compressed`,
          { path, code: 'damaged' },
        );
      }
      const type = String.fromCharCode(header[156]!);
      const length = said.size ?? numberAt(header, 124, 12, path);
      const offset = at + BLOCK;
      if (offset + length > size) throw cutOff(path, size);
      at = offset + Math.ceil(length / BLOCK) * BLOCK;
      if (type === 'x' || type === 'L') {
        if (length > LONGEST_TEXT)
          throw new InputError(`${path} is damaged: a name of ${length} bytes`, { path, code: 'damaged' });
        const bytes = await read(file, offset, length, size, path);
        said = { ...said, ...(type === 'x' ? paxFields(bytes) : { name: textOf(bytes) }) };
        continue;
      }
      // Global headers say nothing of names or sizes.
      if (type === 'g') continue;
      if (type === '0' || type === '\0' || type === '7') {
        members.push({ name: said.name ?? nameIn(header), offset, size: length });
      }
      said = {};
    }
  });
}

async function read(
  file: FileHandle,
  at: number,
  length: number,
  size: number,
  path: string,
): Promise<Uint8Array> {
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await file.read(bytes, done, length - done, at + done);
    if (bytesRead === 0) throw cutOff(path, size);
    done += bytesRead;
  }
  return bytes;
}

function cutOff(path: string, size: number): InputError {
  return new InputError(
    `${path} is cut off: it ends after ${size} bytes, without the zeros at the end of an archive`,
    { path, code: 'damaged' },
  );
}

/** The sum of a header's bytes, with spaces in place of the sum itself. */
function hasChecksum(header: Uint8Array): boolean {
  const sum = header.reduce((sum, byte, i) => sum + (i >= 148 && i < 156 ? 32 : byte), 0);
  return Number.parseInt(textOf(header.subarray(148, 156)), 8) === sum;
}

/** A field of octal digits, or of a number in base 256 where its first bit is set. */
function numberAt(header: Uint8Array, from: number, length: number, path: string): number {
  const field = header.subarray(from, from + length);
  const value =
    field[0]! & 0x80
      ? field.reduce((sum, byte, i) => 256 * sum + (i === 0 ? byte & 0x7f : byte), 0)
      : Number.parseInt(textOf(field).trim() || '0', 8);
  if (Number.isSafeInteger(value)) return value;
  throw new InputError(`${path} is damaged: a file in it has no size`, { path, code: 'damaged' });
}

/** The name, in ustar behind a prefix of up to 155 bytes. GNU's headers have other fields in its place. */
function nameIn(header: Uint8Array): string {
  const name = textOf(header.subarray(0, 100));
  const isUstar = textOf(header.subarray(257, 263)) === 'ustar';
  const prefix = isUstar ? textOf(header.subarray(345, 500)) : '';
  return prefix === '' ? name : `${prefix}/${name}`;
}

/** Up to the first zero. */
function textOf(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return new TextDecoder().decode(end < 0 ? bytes : bytes.subarray(0, end));
}

/** Records of the form `17 path=some/name\n`, whose number is the length of all of it. */
function paxFields(bytes: Uint8Array): { name?: string; size?: number } {
  const fields: { name?: string; size?: number } = {};
  for (let at = 0; at < bytes.length; ) {
    const length = Number.parseInt(new TextDecoder().decode(bytes.subarray(at, at + 8)), 10);
    if (!(length > 0)) break;
    const [, key, value] =
      /^\d+ ([^=]*)=(.*)\n$/s.exec(new TextDecoder().decode(bytes.subarray(at, at + length))) ?? [];
    if (key === 'path') fields.name = value!;
    if (key === 'size') fields.size = Number(value);
    at += length;
  }
  return fields;
}
