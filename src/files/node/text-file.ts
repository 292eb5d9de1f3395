/** Texts and JSON in files of this machine: regular files of a bounded size, in UTF-8. */
import { decodeText, LARGEST_TEXT } from '../files.ts';
import { type JsonObject, parseJsonObject } from '../json.ts';
import { isMissing, readBytes } from './regular-file.ts';

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
