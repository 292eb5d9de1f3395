/**
 * Colours of a profile as those of sRGB. The canvas converts what it decodes itself (JPEG, WebP, AVIF); pixels that
 * were decoded here are given to it as a PNG file with the profile, so that one converter serves all formats.
 */
import { deflateSync } from 'node:zlib';
import { createImage, flatten, type Image } from '../image.ts';
import { joinBytes } from '../join-bytes.ts';
import { pngFile } from '../png.ts';
import { decodeByCanvas } from './canvas-image.ts';

/** The space of a profile's colours is named in its header (ICC.1, 7.2.6). */
const SPACE = [16, 20] as const;

/** Alpha stays as it is. A profile of another kind of colours, inks for example, is passed over. */
export async function toSrgb(image: Image, profile: Uint8Array): Promise<Image> {
  const space = String.fromCharCode(...profile.subarray(...SPACE));
  const grey = space === 'GRAY' && isGrey(image);
  if (!grey && space !== 'RGB ') return image;
  const { width, height, channels, data } = image;
  const samples = grey ? 1 : 3;
  const rows = new Uint8Array(height * (1 + width * samples));
  for (let i = 0, to = 0; i < width * height; i++) {
    if (i % width === 0) to += 1; // the row's filter: none
    for (let c = 0; c < samples; c++) rows[to++] = data[i * channels + c]!;
  }
  // A name, and 0 for zlib.
  const colors = joinBytes([new TextEncoder().encode('profile\0\0'), deflateSync(profile)]);
  const file = pngFile(
    { width, height, samples },
    [{ type: 'iCCP', data: colors }],
    deflateSync(rows, { level: 1 }),
  );
  const converted = flatten(await decodeByCanvas(file));
  if (channels === 3) return converted;
  const withAlpha = createImage(width, height, 4, data.slice());
  for (let i = 0; i < width * height; i++) {
    withAlpha.data.set(converted.data.subarray(3 * i, 3 * i + 3), 4 * i);
  }
  return withAlpha;
}

function isGrey({ data, channels }: Image): boolean {
  for (let i = 0; i < data.length; i += channels) {
    if (data[i] !== data[i + 1] || data[i] !== data[i + 2]) return false;
  }
  return true;
}
