/** What lies in a folder of training pictures, and what is passed over there. */
import { readdir } from 'node:fs/promises';
import { extname, join, sep } from 'node:path';
import { InputError } from '../../errors.ts';

/** Endings of pictures, in lower case. */
export const PICTURE_ENDINGS = ['.png', '.jpg', '.jpeg', '.webp', '.avif', '.gif', '.bmp', '.tif', '.tiff'];

export interface FolderListing {
  /** Paths within the folder with forward slashes, sorted. */
  readonly pictures: readonly string[];
  readonly others: readonly string[];
}

/** Copies and thumbnails that programs keep beside people's pictures, besides hidden files and folders. */
const FOREIGN = new Set(['__MACOSX', '@eaDir']);

/** Lists the folder and those in it. Throws InputError when there is none. */
export async function listFolder(path: string): Promise<FolderListing> {
  const entries = await readdir(path, { recursive: true, withFileTypes: true }).catch((cause) => {
    const { code } = cause as NodeJS.ErrnoException;
    throw new InputError(`cannot read the folder ${path} (${code}); expected one with pictures`, {
      ...{ cause, path, code: code === 'ENOENT' ? 'not-found' : 'cannot-read' },
    });
  });
  const pictures: string[] = [];
  const others: string[] = [];
  for (const entry of entries) {
    if (entry.isDirectory()) continue;
    const name = join(entry.parentPath, entry.name).slice(join(path, sep).length).replaceAll(sep, '/');
    if (name.split('/').some((part) => part.startsWith('.') || FOREIGN.has(part))) continue;
    (PICTURE_ENDINGS.includes(extname(name).toLowerCase()) ? pictures : others).push(name);
  }
  return { pictures: pictures.sort(), others: others.sort() };
}

/** The folder of a path within the folder, with a slash at its end; empty at the top. */
export function folderOf(name: string): string {
  return name.slice(0, name.lastIndexOf('/') + 1);
}

/** A path without its ending: what a picture and its caption have in common. */
export function stemOf(name: string): string {
  return name.slice(0, name.length - extname(name).length);
}
