/** ISO containers: boxes in boxes (ISO/IEC 14496-12), and the items of a `meta` box, of which AVIF files consist. */

import { InputError } from '../../errors.ts';
import { joinBytes } from '../join-bytes.ts';
import type { FileBytes } from './file-bytes.ts';

export interface Box {
  readonly type: string;
  /** Of its content, in the file. */
  readonly start: number;
  readonly end: number;
}

export interface Item {
  readonly id: number;
  /** `av01`, `grid`, `Exif` … */
  readonly type: string;
}

/** Those that stand one after the other. Throws InputError for a box that ends beyond what holds it. */
export function* boxes(file: FileBytes, start: number, end: number): Generator<Box> {
  for (let at = start; at + 8 <= end; ) {
    const type = file.name(at + 4, 4);
    let [header, length] = [8, file.uint32(at)];
    if (length === 1) [header, length] = [16, 2 ** 32 * file.uint32(at + 8) + file.uint32(at + 12)];
    else if (length === 0) length = end - at;
    if (length < header) {
      throw new InputError(`${file.kind} is damaged: the box "${type}" has ${length} bytes`, {
        code: 'damaged',
      });
    }
    if (at + length > end) {
      throw new InputError(
        `${file.kind} is cut off: the box "${type}" ends at byte ${at + length}, what holds it at byte ${end}`,
        { code: 'damaged' },
      );
    }
    yield { type, start: at + header, end: at + length };
    at += length;
  }
}

/** The boxes in a box; `skip` bytes before them are its own. */
export function children(file: FileBytes, box: Box | undefined, skip = 0): Box[] {
  return box === undefined ? [] : [...boxes(file, box.start + skip, box.end)];
}

export function child(file: FileBytes, box: Box | undefined, type: string, skip = 0): Box | undefined {
  return children(file, box, skip).find((each) => each.type === type);
}

/** What `iinf` lists. */
export function itemsOf(file: FileBytes, meta: Box): Item[] {
  const infos = child(file, meta, 'iinf', 4);
  if (infos === undefined) return [];
  const entries = children(file, infos, file.uint8(infos.start) === 0 ? 6 : 8);
  return entries
    .filter(({ type }) => type === 'infe')
    .map(({ start }) => {
      // From version 2 on a type stands behind the number of the item, of 2 or 4 bytes, and 2 bytes of its protection.
      const long = file.uint8(start) > 2;
      const id = long ? file.uint32(start + 4) : file.uint16(start + 4);
      return { id, type: file.name(start + (long ? 10 : 8), 4) };
    });
}

/** The bytes of items by their numbers, where `iloc` tells where they lie. */
export function itemData(file: FileBytes, meta: Box): ReadonlyMap<number, Uint8Array> {
  const data = new Map<number, Uint8Array>();
  const box = child(file, meta, 'iloc', 4);
  if (box === undefined) return data;
  let at = box.start + 4;
  const uint = (bytes: number) => {
    let value = 0;
    for (let i = 0; i < bytes; i++) value = 256 * value + file.uint8(at++);
    return value;
  };
  const version = file.uint8(box.start);
  const [sizes, moreSizes] = [uint(1), uint(1)];
  const [offsetBytes, lengthBytes] = [sizes >> 4, sizes & 15];
  const [baseBytes, indexBytes] = [moreSizes >> 4, version === 0 ? 0 : moreSizes & 15];
  const withinMeta = child(file, meta, 'idat', 4)?.start ?? 0;
  for (let items = uint(version < 2 ? 2 : 4); items > 0 && at < box.end; items--) {
    const id = uint(version < 2 ? 2 : 4);
    const start = version > 0 && (uint(2) & 15) === 1 ? withinMeta : 0;
    uint(2);
    const base = start + uint(baseBytes);
    const parts: Uint8Array[] = [];
    for (let extents = uint(2); extents > 0 && at < box.end; extents--) {
      uint(indexBytes);
      const [offset, length] = [base + uint(offsetBytes), uint(lengthBytes)];
      parts.push(file.slice(offset, length, 'a part'));
    }
    data.set(id, parts.length === 1 ? parts[0]! : joinBytes(parts));
  }
  return data;
}
