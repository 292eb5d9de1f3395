/**
 * Names that other people's files give to files and folders: parts of a model, shards, downloads, tokenizer files.
 * Such a name may become one part of a path, and must then stay inside the folder that it is joined to, here and on
 * every system to which the result may be copied.
 */
import { InputError } from '../errors.ts';
import { shown } from '../messages.ts';

/** Longest name of a file that common file systems take, in bytes of UTF-8. */
const LONGEST = 255;

/** Devices that Windows finds in every folder, with any ending: `nul`, `COM1.json`. */
const WINDOWS_DEVICE = /^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³])\s*(\..*)?$/i;

/**
 * What both kinds of separators and of drive letters (and of NTFS's streams) need, and what ends or breaks a name:
 * control characters, NUL among them, and halves of characters, which no address and no file system can spell.
 */
// biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
const FORBIDDEN = /[/\\:\u0000-\u001f\u007f]|\p{Surrogate}/u;

/** Whether `name` is one plain part of a path on every system: no separator, not `..`, no drive, no device. */
export function isPathPart(name: unknown): name is string {
  if (typeof name !== 'string' || name === '' || FORBIDDEN.test(name)) return false;
  // `.` and `..`; and Windows drops dots and spaces at the end, so that `.. ` would be `..`.
  if (/[. ]$/.test(name)) return false;
  return !WINDOWS_DEVICE.test(name) && new TextEncoder().encode(name).byteLength <= LONGEST;
}

/** Returns `name`. Throws InputError when it is no plain part of a path; `where` says who gave the name. */
export function requirePathPart(name: unknown, where: string): string {
  if (isPathPart(name)) return name;
  throw new InputError(
    `${where} is called ${shown(name)}; expected a plain name of a file or folder: no "/", "\\" or ":", not "..", ` +
      `no control characters, none of Windows' device names, at most ${LONGEST} bytes`,
    { path: where },
  );
}
