/** How strips of TIFF files are compressed (TIFF 6.0, sections 9, 13 and 14): PackBits, LZW, zlib; and the predictor. */

import { InputError } from '../../errors.ts';
import { inflate } from '../deflate.ts';

/** Expands a strip, of which `length` bytes are wanted. Throws InputError where fewer come. */
export type Expand = (strip: Uint8Array, length: number) => Uint8Array | Promise<Uint8Array>;

/** By TIFF's numbers. */
const SCHEMES: Readonly<Record<number, Expand>> = {
  1: (strip) => strip,
  5: expandLzw,
  8: inflateStrip,
  32773: expandPackBits,
  32946: inflateStrip,
};

/** Names of those that are not read. */
const OTHERS: Readonly<Record<number, string>> = {
  2: 'CCITT fax',
  3: 'CCITT fax',
  4: 'CCITT fax',
  6: 'old JPEG',
  7: 'JPEG',
  34925: 'LZMA',
  50000: 'Zstandard',
  50001: 'WebP',
};

/** Throws InputError for a compression that is not read. */
export function expanderOf(compression: number): Expand {
  const expand = SCHEMES[compression];
  if (expand === undefined) {
    const name = OTHERS[compression] ?? 'a way unknown here';
    throw new InputError(
      `TIFF file is compressed by ${name} (compression ${compression}), which is not read; save it with LZW, or as PNG`,
    );
  }
  return async (strip, length) => {
    const bytes = await expand(strip, length);
    if (bytes.length >= length) return bytes;
    throw new InputError(`TIFF file is cut off: a strip has ${bytes.length} bytes; expected ${length}`, {
      code: 'damaged',
    });
  };
}

/** A strip may hold a few bytes more than its rows, but not another picture. */
function inflateStrip(strip: Uint8Array, length: number): Promise<Uint8Array> {
  return inflate(strip, length + 2 ** 16);
}

/** A byte n says: the next n + 1 bytes as they are, or, above 128, the next one 257 − n times. */
function expandPackBits(strip: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  let to = 0;
  for (let at = 0; at < strip.length && to < length; ) {
    const n = strip[at++]!;
    if (n === 128) continue;
    const count = Math.min(n < 128 ? n + 1 : 257 - n, length - to);
    if (n < 128) {
      const run = strip.subarray(at, at + count);
      out.set(run, to);
      to += run.length;
      at += n + 1;
    } else {
      if (at >= strip.length) break;
      out.fill(strip[at++]!, to, to + count);
      to += count;
    }
  }
  return out.subarray(0, to);
}

const CLEAR = 256;
const END = 257;

/** Codes of 9 to 12 bits for strings that were met before: each is an earlier one and one byte more. */
function expandLzw(strip: Uint8Array, length: number): Uint8Array {
  const out = new Uint8Array(length);
  // String `code` lies in what was written: where it began, and how long it is.
  const starts = new Uint32Array(4096);
  const lengths = new Uint32Array(4096);
  let [to, next, bits] = [0, END + 1, 9];
  let previous: { start: number; length: number } | undefined;
  let [held, heldBits] = [0, 0];
  for (let at = 0; to < length; ) {
    while (heldBits < bits && at < strip.length) {
      held = ((held << 8) | strip[at++]!) & 0xffffff;
      heldBits += 8;
    }
    if (heldBits < bits) break;
    heldBits -= bits;
    const code = (held >> heldBits) & (2 ** bits - 1);
    if (code === END) break;
    if (code === CLEAR) {
      [next, bits, previous] = [END + 1, 9, undefined];
      continue;
    }
    if (code > next || (code === next && previous === undefined)) {
      throw new InputError('TIFF file is damaged: an LZW code that was not defined', { code: 'damaged' });
    }
    // Each new string follows the last one: it is that and the first byte of this one, which come next in the output.
    if (previous !== undefined && next < 4096) {
      starts[next] = previous.start;
      lengths[next] = previous.length + 1;
      next += 1;
    }
    const start = to;
    if (code < CLEAR) {
      out[to++] = code;
    } else {
      const end = Math.min(length, to + lengths[code]!);
      for (let from = starts[code]!; to < end; ) out[to++] = out[from++]!;
    }
    previous = { start, length: to - start };
    // TIFF widens its codes one early.
    if (next >= 2 ** bits - 1 && bits < 12) bits += 1;
  }
  return out.subarray(0, to);
}

/** Undoes horizontal differencing in rows of `width` pixels with `samples` values of 8 or 16 bits, in place. */
export function undoPredictor(rows: Uint8Array | Uint16Array, width: number, samples: number): void {
  const row = width * samples;
  for (let start = 0; start + row <= rows.length; start += row) {
    for (let i = start + samples; i < start + row; i++) rows[i]! += rows[i - samples]!;
  }
}
