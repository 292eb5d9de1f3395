/** Where pictures go: a file, numbered files, or names made of the prompt in a folder. */
import { constants, existsSync } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { dirname, extname, join, resolve } from 'node:path';
import { InputError, UsageError } from '../errors.ts';

export interface Picture {
  /** From 0. */
  readonly index: number;
  readonly prompt: string;
  readonly seed: number;
}

/**
 * Understands `--out` and checks that it can be written to, so that nobody waits for a picture that cannot be saved.
 * Returns the path for each picture: `out` itself for the only one, `out-1.png`, … for several; in a folder a name
 * that is not taken.
 */
export async function outputPaths(
  out: string | undefined,
  count: number,
): Promise<(picture: Picture) => string> {
  const folder = await folderOf(out);
  await requireWritable(folder ?? dirname(out!));
  if (folder === undefined) {
    const stem = out!.slice(0, -'.png'.length);
    return ({ index }) => (count === 1 ? out! : `${stem}-${index + 1}.png`);
  }
  return ({ prompt, seed }) => freeName(join(folder, `${slug(prompt)}-${seed}`));
}

/** The folder that `out` means, or undefined when it means a file. */
async function folderOf(out: string | undefined): Promise<string | undefined> {
  if (out === undefined) return '.';
  const found = await stat(out).catch((error: NodeJS.ErrnoException) => error);
  if (!(found instanceof Error) && found.isDirectory()) return out;
  const ending = extname(out).toLowerCase();
  if (ending === '.png') return undefined;
  if (['.jpg', '.jpeg', '.webp', '.gif', '.avif', '.bmp', '.tif', '.tiff'].includes(ending)) {
    throw new UsageError(
      `--out ${out}: pictures are written as PNG; use a name that ends in .png, or a folder`,
    );
  }
  if (!(found instanceof Error)) {
    throw new UsageError(`--out ${out}: that is neither a folder nor a .png file; choose another name`);
  }
  return out;
}

/** Throws InputError when the folder, or the one that it would be made in, takes no new files. option: that named it. */
export async function requireWritable(folder: string, option = '--out'): Promise<void> {
  let existing = resolve(folder);
  while (!existsSync(existing) && dirname(existing) !== existing) existing = dirname(existing);
  if (!(await stat(existing)).isDirectory()) {
    throw new InputError(
      `cannot write to ${folder}: ${existing} is a file, not a folder; choose another place with ${option}`,
      { path: folder, code: 'cannot-write' },
    );
  }
  await access(existing, constants.W_OK | constants.X_OK).catch((cause) => {
    const what = existing === resolve(folder) ? 'you may' : `it does not exist, and in ${existing} you may`;
    throw new InputError(
      `cannot write to ${folder}: ${what} not create files; choose another place with ${option}`,
      { cause, path: folder, code: 'cannot-write' },
    );
  });
}

/** The first few words of a prompt as a file name. */
function slug(prompt: string): string {
  const words = prompt
    .normalize('NFKD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .replace(/^-|-$/g, '');
  const short = words.length > 60 ? words.slice(0, 60).replace(/-[^-]*$/, '') : words;
  return short === '' ? 'picture' : short;
}

function freeName(stem: string): string {
  let path = `${stem}.png`;
  for (let n = 2; existsSync(path); n++) path = `${stem}-${n}.png`;
  return path;
}
