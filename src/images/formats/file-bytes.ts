/** Bytes of a picture's file, read where its structures say: what lies beyond the end is missing, and said so. */

import { InputError } from '../../errors.ts';

export class FileBytes {
  readonly data: Uint8Array;
  /** What they are, for messages: `JPEG file`. */
  readonly kind: string;
  readonly littleEndian: boolean;
  readonly #view: DataView;

  constructor(data: Uint8Array, kind: string, littleEndian: boolean) {
    this.data = data;
    this.kind = kind;
    this.littleEndian = littleEndian;
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  }

  get length(): number {
    return this.data.length;
  }

  /** Throws InputError unless `length` bytes lie at the offset. */
  require(offset: number, length: number, what: string): void {
    if (offset + length <= this.length) return;
    throw new InputError(
      `${this.kind} is cut off: ${what} ends at byte ${offset + length} of ${this.length}`,
      { code: 'damaged' },
    );
  }

  uint8(offset: number): number {
    this.require(offset, 1, 'a value');
    return this.#view.getUint8(offset);
  }

  uint16(offset: number): number {
    this.require(offset, 2, 'a value');
    return this.#view.getUint16(offset, this.littleEndian);
  }

  uint32(offset: number): number {
    this.require(offset, 4, 'a value');
    return this.#view.getUint32(offset, this.littleEndian);
  }

  int32(offset: number): number {
    return this.uint32(offset) | 0;
  }

  /** So many bytes as Latin-1, for signatures and names of parts. */
  name(offset: number, length: number): string {
    this.require(offset, length, 'a name');
    return String.fromCharCode(...this.data.subarray(offset, offset + length));
  }

  slice(offset: number, length: number, what: string): Uint8Array {
    this.require(offset, length, what);
    return this.data.subarray(offset, offset + length);
  }
}
