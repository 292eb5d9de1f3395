/** Text in PNG files: tEXt (Latin-1), zTXt (Latin-1, compressed) and iTXt (UTF-8) chunks. */

import { InputError, UsageError } from '../errors.ts';
import { inflate } from './deflate.ts';
import { type Chunk, readChunks } from './png-chunks.ts';

/** Keyword → text, for example `parameters` as A1111 and others read it. */
export type PngText = Readonly<Record<string, string>>;

/** Bytes of all texts of a file together, once they are expanded. */
const TEXT_LIMIT = 16 * 2 ** 20;
/** Texts of a file. */
const MOST_TEXTS = 1000;

// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL ends a keyword, so it is the one that matters
const NOT_LATIN1_TEXT = /[^\x01-\xff]/;
const KEYWORD = /^[\x21-\x7e\xa1-\xff](?:[\x20-\x7e\xa1-\xff]{0,77}[\x21-\x7e\xa1-\xff])?$/;

function latin1Bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

function latin1Text(bytes: Uint8Array): string {
  const parts: string[] = [];
  // As many at a time as a function takes arguments.
  for (let at = 0; at < bytes.length; at += 8192) {
    parts.push(String.fromCharCode(...bytes.subarray(at, at + 8192)));
  }
  return parts.join('');
}

/**
 * The chunk that stores a text: tEXt where Latin-1 can, else iTXt.
 *
 * @throws UsageError for a keyword that PNG does not allow
 */
export function textChunk(keyword: string, text: string): Chunk {
  if (!KEYWORD.test(keyword) || keyword.includes('  ')) {
    throw new UsageError(
      `PNG keyword ${JSON.stringify(keyword)}: expected 1 to 79 Latin-1 characters, single spaces, none at the ends`,
    );
  }
  const name = latin1Bytes(keyword);
  const latin1 = !NOT_LATIN1_TEXT.test(text);
  const body = latin1 ? latin1Bytes(text) : new TextEncoder().encode(text);
  // tEXt: keyword, NUL. iTXt: keyword, NUL, not compressed (0, 0), no language (NUL), no translation (NUL).
  const header = latin1 ? 1 : 5;
  const data = new Uint8Array(name.length + header + body.length);
  data.set(name);
  data.set(body, name.length + header);
  return { type: latin1 ? 'tEXt' : 'iTXt', data };
}

/** The bytes before the next NUL, and those after it. */
function cut(data: Uint8Array, type: string): [before: Uint8Array, after: Uint8Array] {
  const end = data.indexOf(0);
  if (end < 0) throw new InputError(`PNG ${type} chunk: expected a NUL after the keyword, found none`);
  return [data.subarray(0, end), data.subarray(end + 1)];
}

function utf8(bytes: Uint8Array, keyword: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new InputError(`PNG iTXt chunk "${keyword}": expected UTF-8, found other bytes`);
  }
}

const isText = ({ type }: Chunk) => type === 'tEXt' || type === 'zTXt' || type === 'iTXt';

/** Keyword and text of a text chunk, which may expand to `limit` bytes, and how many bytes it has. */
async function readText(
  { type, data }: Chunk,
  limit: number,
): Promise<{ keyword: string; text: string; length: number }> {
  const [name, rest] = cut(data, type);
  const keyword = latin1Text(name);
  let [compressed, body] = [type === 'zTXt', rest];
  if (type === 'zTXt') {
    if (rest.length === 0)
      throw new InputError(`PNG zTXt chunk "${keyword}" is cut off`, { code: 'damaged' });
    if (rest[0] !== 0)
      throw new InputError(`PNG zTXt chunk "${keyword}": unknown compression ${rest[0]}`, {
        code: 'unsupported',
      });
    body = rest.subarray(1);
  } else if (type === 'iTXt') {
    if (rest.length < 2) throw new InputError(`PNG iTXt chunk "${keyword}" is cut off`, { code: 'damaged' });
    compressed = rest[0] === 1;
    const [, afterLanguage] = cut(rest.subarray(2), type);
    [, body] = cut(afterLanguage, type);
  }
  const tooLong = `PNG texts: expected at most ${TEXT_LIMIT} bytes in all, found more`;
  const bytes = compressed ? await inflate(body, limit, tooLong) : body;
  if (bytes.length > limit) throw new InputError(tooLong);
  return {
    keyword,
    text: type === 'iTXt' ? utf8(bytes, keyword) : latin1Text(bytes),
    length: bytes.length,
  };
}

/**
 * All texts in a PNG file; pixels are not decoded. When a keyword occurs twice the last one counts.
 *
 * @throws InputError when the file is no PNG or is damaged, or has more than 1,000 texts or 16 MiB of them
 */
export async function readPngText(file: Uint8Array): Promise<Record<string, string>> {
  const texts = new Map<string, string>();
  let [count, remaining] = [0, TEXT_LIMIT];
  for (const chunk of readChunks(file)) {
    if (!isText(chunk)) continue;
    count += 1;
    if (count > MOST_TEXTS) throw new InputError(`PNG texts: expected at most ${MOST_TEXTS}, found more`);
    const { keyword, text, length } = await readText(chunk, remaining);
    remaining -= length;
    texts.set(keyword, text);
  }
  return Object.fromEntries(texts);
}
