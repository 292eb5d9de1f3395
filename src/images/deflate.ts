/** zlib streams (RFC 1950) by the platform's CompressionStream, which Node and browsers share. */

import { InputError } from '../errors.ts';
import { joinBytes } from './join-bytes.ts';

/** Hands over what the transform makes of the source, piece by piece. */
async function* through(
  source: Uint8Array,
  transform: CompressionStream | DecompressionStream,
): AsyncGenerator<Uint8Array> {
  const writer = (transform.writable as WritableStream<Uint8Array>).getWriter();
  // A broken stream fails at the reading end too, where it is reported.
  const written = writer
    .write(source)
    .then(() => writer.close())
    .catch(() => undefined);
  const reader = (transform.readable as ReadableStream<Uint8Array>).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      yield value;
    }
    await written;
  } finally {
    // Whoever wants no more than this ends the work on the rest; a reader that has ended takes no notice.
    await reader.cancel().catch(() => undefined);
  }
}

/** Compresses into a zlib stream. */
export async function deflate(data: Uint8Array): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of through(data, new CompressionStream('deflate'))) parts.push(part);
  return joinBytes(parts);
}

/**
 * Expands a zlib stream, and never holds much more than `limit` bytes.
 *
 * @param tooLong what is said of one that is longer than the limit
 * @throws InputError when the stream is damaged, cut off, or longer than the limit
 */
export async function inflate(data: Uint8Array, limit: number, tooLong?: string): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  for await (const part of inflated(data, limit, tooLong)) parts.push(part);
  return joinBytes(parts);
}

/**
 * Expands a zlib stream that should give `length` bytes, into memory of that size and no more.
 *
 * @returns the bytes, and how many of them came: fewer than `length` where the stream ends before
 * @throws InputError as `inflate`
 */
export async function inflateInto(
  data: Uint8Array,
  length: number,
): Promise<{ bytes: Uint8Array; written: number }> {
  const bytes = new Uint8Array(length);
  let written = 0;
  for await (const part of inflated(data, length)) {
    bytes.set(part, written);
    written += part.length;
  }
  return { bytes, written };
}

async function* inflated(
  data: Uint8Array,
  limit: number,
  tooLong = `compressed data: expected at most ${limit} bytes, found more`,
): AsyncGenerator<Uint8Array> {
  let length = 0;
  try {
    for await (const part of through(data, new DecompressionStream('deflate'))) {
      length += part.length;
      if (length > limit) throw new InputError(tooLong);
      yield part;
    }
  } catch (error) {
    if (error instanceof InputError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`compressed data: expected a zlib stream, found damage (${reason})`);
  }
}
