/** AVIF files (ISO/IEC 23008-12, AV1 Image File Format): pictures are items of the `meta` box of an ISO container. */

import { requireReadableSize } from '../picture-size.ts';
import { av1Sizes } from './av1-size.ts';
import { FileBytes } from './file-bytes.ts';
import { type Box, boxes, child, children, itemData, itemsOf } from './iso-boxes.ts';
import type { PictureHeader } from './picture-header.ts';

/** Throws InputError when the file is cut off or declares no size. */
export function readAvifHeader(data: Uint8Array): PictureHeader {
  const file = new FileBytes(data, 'AVIF file', false);
  const meta = [...boxes(file, 0, file.length)].find(({ type }) => type === 'meta');
  const items = meta ? itemsOf(file, meta) : [];
  const contents = meta ? itemData(file, meta) : new Map<number, Uint8Array>();
  // A decoder allocates for the whole, for the pieces that it is put together from, and for its alpha.
  const streams = items.filter(({ type }) => type === 'av01').map(({ id }) => contents.get(id));
  const sizes = [
    ...declaredSizes(file, meta),
    ...streams.flatMap((stream) => [...av1Sizes(stream ?? new Uint8Array(0))]),
  ];
  for (const [width, height] of sizes) requireReadableSize('AVIF', width, height);
  const largest = sizes.sort((a, b) => b[0] * b[1] - a[0] * a[1])[0] ?? [0, 0];
  requireReadableSize('AVIF', ...largest);
  const exif = items.find(({ type }) => type === 'Exif');
  return { width: largest[0], height: largest[1], exif: exif && exifBlock(contents.get(exif.id)) };
}

/** `ispe` among the properties of items: [width, height] each. */
function declaredSizes(file: FileBytes, meta: Box | undefined): [number, number][] {
  const properties = children(file, child(file, child(file, meta, 'iprp', 4), 'ipco'));
  return properties
    .filter(({ type }) => type === 'ispe')
    .map(({ start }) => [file.uint32(start + 4), file.uint32(start + 8)]);
}

/** It begins with four bytes that say how many others stand before it. */
function exifBlock(item: Uint8Array | undefined): Uint8Array | undefined {
  if (item === undefined || item.length < 4) return undefined;
  return item.subarray(4 + new FileBytes(item, 'AVIF file', false).uint32(0));
}

/**
 * The file as one of a single picture, the one that `readAvifHeader` looked at: decoders take the frames of an animation
 * from elsewhere when its brand says that it is one.
 */
export function stillAvif(data: Uint8Array): Uint8Array {
  const still = data.slice();
  still.set(new TextEncoder().encode('avif'), 8);
  return still;
}
