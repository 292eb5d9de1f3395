/** What is at a path, for those who take several kinds of things. */
import { stat } from 'node:fs/promises';

/** What is at the path; undefined for what is not there and for what may not be seen: whoever opens it says why. */
export async function pathKind(path: string): Promise<'file' | 'folder' | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found && (found.isDirectory() ? 'folder' : 'file');
}

export async function isFile(path: string): Promise<boolean> {
  return (await pathKind(path)) === 'file';
}
