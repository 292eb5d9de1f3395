/** Everything that people hand in. */
import type { Kind } from './kind.ts';
import { loras } from './loras.ts';
import { modelFolders } from './model-folders.ts';
import { pictureTexts } from './picture-texts.ts';
import { pictures } from './pictures.ts';
import { requests } from './requests.ts';
import { settings } from './settings.ts';
import { singleFiles } from './single-files.ts';

export const kinds: readonly Kind[] = [
  modelFolders,
  singleFiles,
  pictures,
  loras,
  settings,
  requests,
  pictureTexts,
];
