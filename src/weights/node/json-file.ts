/** JSON files that must hold an object. */
import { readFile } from 'node:fs/promises';
import { InputError } from '../../errors.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Throws InputError when the file is missing, is not JSON, or holds something other than an object. */
export async function readJsonObject(path: string): Promise<JsonObject> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    const reason =
      error.code === 'ENOENT' || error.code === 'ENOTDIR' ? 'there is no such file' : error.message;
    throw new InputError(`cannot read ${path}: ${reason}`, { cause: error });
  });
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new InputError(`${path} is not valid JSON: ${(cause as Error).message}`, { cause });
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InputError(`${path} must hold a JSON object`);
  }
  return value as JsonObject;
}

/** As diffusers writes it. */
export function formatJson(value: JsonObject): Uint8Array {
  return new TextEncoder().encode(`${JSON.stringify(value, null, 2)}\n`);
}
