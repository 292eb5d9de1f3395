/** Files that a browser hands over, or that lie in memory: blobs, by their paths. */
import { type ByteSource, type Files, nameOf, requireRange, tooLarge } from './files.ts';

/**
 * Blobs as a folder. entries: by path, as a `File` of a folder that was chosen has it without the folder's own name.
 * location: for messages.
 */
export function blobFiles(entries: ReadonlyMap<string, Blob>, location: string): Files {
  const sourceOf = (path: string, blob: Blob): ByteSource => {
    const about = { name: nameOf({ location } as Files, path), size: blob.size };
    return {
      ...about,
      async read(offset, length) {
        requireRange(about, offset, length);
        return new Uint8Array(await blob.slice(offset, offset + length).arrayBuffer());
      },
    };
  };
  return {
    location,
    async list(folder = '') {
      const start = folder === '' ? '' : `${folder}/`;
      const inside = [...entries.keys()].filter((path) => path.startsWith(start));
      return [...new Set(inside.map((path) => path.slice(start.length).split('/')[0]!))];
    },
    async bytes(path, limit = Number.POSITIVE_INFINITY) {
      const blob = entries.get(path);
      if (!blob) return undefined;
      if (blob.size > limit) throw tooLarge(`${location}/${path}`, limit);
      return new Uint8Array(await blob.arrayBuffer());
    },
    async open(path) {
      const blob = entries.get(path);
      return blob && sourceOf(path, blob);
    },
  };
}

/** Bytes and texts in memory as a folder. */
export function memoryFiles(
  entries: Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>,
  location = 'memory',
): Files {
  const blobs = Object.entries(entries).map(([path, content]) => [path, new Blob([content])] as const);
  return blobFiles(new Map(blobs), location);
}
