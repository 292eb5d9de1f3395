/** zlib streams (RFC 1950) by the platform's CompressionStream, which Node and browsers share. */

import { InputError } from '../errors.ts';

async function collect(
  source: Uint8Array,
  transform: CompressionStream | DecompressionStream,
  limit: number,
): Promise<Uint8Array> {
  const writer = (transform.writable as WritableStream<Uint8Array>).getWriter();
  // A broken stream fails at the reading end too, where it is reported.
  const written = writer
    .write(source)
    .then(() => writer.close())
    .catch(() => undefined);
  const reader = (transform.readable as ReadableStream<Uint8Array>).getReader();
  const chunks: Uint8Array[] = [];
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
    length += value.length;
    if (length > limit) {
      await reader.cancel();
      throw new InputError(`compressed data: expected at most ${limit} bytes, found more`);
    }
  }
  await written;
  const joined = new Uint8Array(length);
  let offset = 0;
  for (const chunk of chunks) {
    joined.set(chunk, offset);
    offset += chunk.length;
  }
  return joined;
}

/** Compresses into a zlib stream. */
export function deflate(data: Uint8Array): Promise<Uint8Array> {
  return collect(data, new CompressionStream('deflate'), Number.POSITIVE_INFINITY);
}

/**
 * Expands a zlib stream, and never holds much more than `limit` bytes.
 *
 * @throws InputError when the stream is damaged, cut off, or longer than the limit
 */
export async function inflate(data: Uint8Array, limit: number): Promise<Uint8Array> {
  try {
    return await collect(data, new DecompressionStream('deflate'), limit);
  } catch (error) {
    if (error instanceof InputError) throw error;
    const reason = error instanceof Error ? error.message : String(error);
    throw new InputError(`compressed data: expected a zlib stream, found damage (${reason})`);
  }
}
