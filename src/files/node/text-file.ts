/** Texts and JSON in files of this machine: regular files of a bounded size, in UTF-8. */
import { InputError } from '../../errors.ts';
import { type JsonObject, parseJsonObject } from '../json.ts';
import { isMissing, readBytes } from './regular-file.ts';

/** Bytes that a text may have. The largest that models have, CLIP's tokenizer.json, has 2.2 million. */
export const LARGEST_TEXT = 2 ** 24;

/** A byte order mark is passed over. Throws InputError for what is missing, no file, too large, or not UTF-8. */
export async function readText(path: string, limit = LARGEST_TEXT): Promise<string> {
  return decodeText(await readBytes(path, limit), path);
}

/** As `readText`, but undefined when there is no such file. */
export async function readTextIfThere(path: string, limit = LARGEST_TEXT): Promise<string | undefined> {
  try {
    return await readText(path, limit);
  } catch (error) {
    if (isMissing(error)) return undefined;
    throw error;
  }
}

/** Throws InputError as `readText`, and when the file holds something other than a JSON object. */
export async function readJsonObject(path: string, limit = LARGEST_TEXT): Promise<JsonObject> {
  return parseJsonObject(await readText(path, limit), path);
}

/** Bytes of the file `path` as text. Throws InputError when they are not UTF-8. */
export function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new InputError(`${path} is not a text in UTF-8; save it as one`, { cause });
  }
}
