/**
 * Masks as people make them. By brightness, white is what is meant (diffusers, and most programs); by alpha it is what
 * was rubbed out of a picture (GIMP, OpenAI's interface), or what was painted on nothing. A mask with transparency does
 * not say which it is, but shows it.
 */
import { createImage, flatten, type Image } from './image.ts';

/**
 * `brightness`: white is meant, black and transparent is not. `hole`: what is transparent is meant, in what is
 * otherwise a picture. `strokes`: what is painted is meant, on what is otherwise transparent.
 */
export type MaskReading = 'brightness' | 'hole' | 'strokes';

/** From this value on, of alpha or of brightness, a pixel counts as there, or as bright. */
const HALF = 128;
/** Values below, and from 255 less it on, are black and white; so far may what counts as one colour be apart. */
const NEAR = 48;

/** Whether any pixel is less than opaque, so that a mask may mean its alpha. */
export function hasTransparency({ channels, data }: Image): boolean {
  if (channels === 3) return false;
  for (let i = 3; i < data.length; i += 4) if (data[i] !== 255) return true;
  return false;
}

/** A mask as a grey RGB image, white where it is meant, and how that was read from the picture. */
export function readMask(picture: Image): { mask: Image; reading: MaskReading } {
  const reading = readingOf(picture);
  if (reading === 'brightness') return { mask: flatten(picture, [0, 0, 0]), reading };
  const mask = createImage(picture.width, picture.height, 3);
  for (let i = 0; i < picture.width * picture.height; i++) {
    const alpha = picture.data[4 * i + 3]!;
    mask.data.fill(reading === 'hole' ? 255 - alpha : alpha, 3 * i, 3 * i + 3);
  }
  return { mask, reading };
}

function readingOf({ width, height, channels, data }: Image): MaskReading {
  if (channels === 3) return 'brightness';
  // Of the pixels that are seen: how many, how many black or white, the range of each channel; and of the border.
  let [seen, black, white, border, seenOfBorder] = [0, 0, 0, 0, 0];
  const least = [255, 255, 255];
  const most = [0, 0, 0];
  for (let i = 0; i < width * height; i++) {
    const [x, y] = [i % width, Math.floor(i / width)];
    const isBorder = x === 0 || y === 0 || x === width - 1 || y === height - 1;
    const isSeen = data[4 * i + 3]! >= HALF;
    if (isBorder) border += 1;
    if (!isSeen) continue;
    if (isBorder) seenOfBorder += 1;
    seen += 1;
    let [darkest, brightest] = [255, 0];
    for (let c = 0; c < 3; c++) {
      const value = data[4 * i + c]!;
      least[c] = Math.min(least[c]!, value);
      most[c] = Math.max(most[c]!, value);
      [darkest, brightest] = [Math.min(darkest, value), Math.max(brightest, value)];
    }
    if (brightest < NEAR) black += 1;
    if (darkest > 255 - NEAR) white += 1;
  }
  if (seen === width * height || (seen > 0 && white === seen)) return 'brightness';
  const isOneColor = least.every((value, c) => most[c]! - value < NEAR);
  // Strokes leave the border free, and a hole lies within it.
  if (isOneColor) return seenOfBorder <= border / 2 ? 'strokes' : 'hole';
  const isBlackAndWhite = black > 0 && white > 0 && black + white >= 0.95 * seen;
  return isBlackAndWhite ? 'brightness' : 'hole';
}
