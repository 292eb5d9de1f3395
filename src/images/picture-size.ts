/** How large the pictures of other people's files may be: asked before anything is allocated for their pixels. */

import { InputError } from '../errors.ts';

/** 64 megapixels. */
export const MAX_PIXELS = 2 ** 26;

/** Throws InputError unless a file of that kind says a size that can be read. */
export function requireReadableSize(kind: string, width: number, height: number): void {
  if (width === 0 || height === 0)
    throw new InputError(`${kind} file is damaged: it is ${width}×${height}`, { code: 'damaged' });
  if (width * height <= MAX_PIXELS) return;
  throw new InputError(
    `${kind} file is ${width}×${height}: expected at most ${MAX_PIXELS} pixels; scale it down`,
  );
}
