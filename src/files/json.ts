/**
 * JSON as other people's programs write it. Read is what RFC 8259 says, and what Python adds: `NaN`, `Infinity` and
 * `-Infinity`, which diffusers writes for some schedulers, and a byte order mark. Of repeated keys the last one counts,
 * as everywhere; a key `__proto__` is a key like any other. How deep values lie in each other is bounded. How numbers were
 * spelled is remembered for `formatJson`.
 */
import { InputError } from '../errors.ts';
import { JsonReader } from './json-reader.ts';
import { rememberSpelling } from './number-spelling.ts';

/** What stands between braces in JSON, read and not yet looked at. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Levels of lists and objects in each other: tokenizer.json, the deepest of the files that are read, has 7. */
const DEEPEST = 64;

/** Throws InputError, naming `file` and the place in it, for a text that is not JSON. */
export function parseJson(text: string, file: string): unknown {
  const reader = new JsonReader(text, `${file} is not valid JSON`, file);
  const value = readValue(reader, file, 0);
  reader.end();
  return value;
}

/** As `parseJson`; throws InputError for anything but an object as well. */
export function parseJsonObject(text: string, file: string): JsonObject {
  const value = parseJson(text, file);
  if (isJsonObject(value)) return value;
  const kinds: Readonly<Record<string, string>> = { string: 'a text', number: 'a number' };
  const found = Array.isArray(value) ? 'a list' : (kinds[typeof value] ?? String(value));
  throw new InputError(`${file} must hold a JSON object, found ${found}`, { path: file });
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readValue(reader: JsonReader, file: string, depth: number): unknown {
  const character = reader.next();
  if (character === '"') return reader.string();
  if (character !== '{' && character !== '[') return reader.word();
  if (depth === DEEPEST) {
    throw new InputError(
      `${file}: ${reader.place} has lists and objects more than ${DEEPEST} deep in each other`,
      { path: file },
    );
  }
  if (character === '{') {
    const object: Record<string, unknown> = {};
    reader.object((key) => {
      const value = readValue(reader, file, depth + 1);
      // An assignment would exchange the object's prototype.
      if (key === '__proto__') {
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      } else {
        object[key] = value;
      }
      if (typeof value === 'number') rememberSpelling(object, key, reader.spelling);
    });
    return object;
  }
  const list: unknown[] = [];
  reader.list(() => {
    const value = readValue(reader, file, depth + 1);
    list.push(value);
    if (typeof value === 'number') rememberSpelling(list, list.length - 1, reader.spelling);
  });
  return list;
}
