/** Texts that pictures carry, whatever their format: how programs store the settings of a picture in it. */

import { exifTexts } from './formats/exif.ts';
import { readPictureHeader, requirePictureFormat } from './formats/picture-header.ts';
import { readPngText } from './png-text.ts';

/** Where Automatic1111 and Forge put a picture's settings, in formats without keywords. */
export const PARAMETERS_KEYWORD = 'parameters';

/** ComfyUI writes `prompt:{…}` and `workflow:{…}` into EXIF's fields for the maker and the model of a camera. */
const NAMED_JSON = /^(\w+):(?=\s*\{)/;

/**
 * Texts by keyword. PNG has keywords itself; of other formats EXIF's user comment, or GIF's comment, is `parameters`.
 *
 * @throws InputError when the file is no picture, or it or its EXIF block is damaged
 */
export async function readEmbeddedText(file: Uint8Array): Promise<Record<string, string>> {
  const format = requirePictureFormat(file);
  if (format === 'PNG') return readPngText(file);
  const { exif, comment } = readPictureHeader(file, format);
  const { userComment, make, model } = exif ? exifTexts(exif) : {};
  const texts = new Map<string, string>();
  for (const text of [make, model]) {
    const keyword = NAMED_JSON.exec(text ?? '')?.[1];
    if (text !== undefined && keyword !== undefined) texts.set(keyword, text.slice(keyword.length + 1));
  }
  const parameters = userComment ?? (comment && new TextDecoder().decode(comment));
  if (parameters) texts.set(PARAMETERS_KEYWORD, parameters);
  return Object.fromEntries(texts);
}
