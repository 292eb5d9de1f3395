/** Where the tokenizers of a single-file checkpoint, which holds none, come from. */
import { InputError } from '../errors.ts';
import { type Files, hasFile, textIn, within } from '../files/files.ts';
import type { Checkpoint } from '../weights/single-file/checkpoint.ts';

/** CLIP's own tokenizer on the hub. */
export const CLIP = 'openai/clip-vit-large-patch14';

/** The vocabulary is CLIP's own, but OpenCLIP was trained on prompts padded with id 0. */
export const OPEN_CLIP_PADDING = { pad_token: '!' };

/** Where a tokenizer lies. */
export interface TokenizerPlace {
  /** What its folder belongs to. */
  readonly model: Files;
  readonly folder: Files;
  /** Whether prompts are padded with "!", whatever the folder says. */
  readonly padsLikeOpenClip: boolean;
}

/** Where tokenizers are looked for. */
export interface TokenizerPlaces {
  /** For messages: the checkpoint. */
  readonly file: string;
  /** The folder that the checkpoint lies in. */
  readonly beside: Files;
  /** A folder with a tokenizer, or a diffusers directory that has one, that somebody named. */
  readonly named: Files | undefined;
  /** A diffusers directory that describes the checkpoint. */
  readonly config: Files | undefined;
  /** CLIP's own tokenizer, asked for where there is no other. */
  readonly clip: (() => Promise<Files | undefined>) | undefined;
}

/**
 * The place of the tokenizer that the pipeline calls `part`. Throws InputError, saying what to do, when there is none to
 * be found.
 */
export async function tokenizerPlace(
  { file, beside, named, config, clip }: TokenizerPlaces,
  part: string,
  { textEncoders }: Checkpoint,
): Promise<TokenizerPlace> {
  if (named === undefined && config !== undefined) {
    return { model: config, folder: within(config, part), padsLikeOpenClip: false };
  }
  const root = named ?? beside;
  const encoder = part === 'tokenizer' ? 0 : Number(part.slice('tokenizer_'.length)) - 1;
  const placeIn = (model: Files, folder: Files): TokenizerPlace => {
    const padsItself = /(^|[\\/])tokenizer_2[\\/]*$/.test(folder.location);
    return { model, folder, padsLikeOpenClip: !padsItself && textEncoders[encoder] === 'open-clip' };
  };
  for (const name of [part, 'tokenizer', '']) {
    const folder = within(root, name);
    if (await isTokenizer(folder)) return placeIn(root, folder);
  }
  if (named !== undefined) {
    throw new InputError(
      `${named.location} holds no tokenizer: expected vocab.json and merges.txt, or tokenizer.json`,
      { path: named.location },
    );
  }
  const own = await clip?.();
  if (own !== undefined && (await isTokenizer(own))) return placeIn(own, own);
  throw new InputError(
    `${file} carries no tokenizer, as single files do not. Pass the folder of one with --tokenizer: that of any Stable Diffusion model in the diffusers layout will do. Or download CLIP's, 1.5 MB, once: ` +
      `lcm pull ${CLIP} --file vocab.json --file merges.txt`,
    { path: file },
  );
}

/** The text of the file `name` of a tokenizer; undefined when there is none. */
export async function tokenizerText(place: TokenizerPlace, name: string): Promise<string | undefined> {
  if (name === 'special_tokens_map.json' && place.padsLikeOpenClip) return JSON.stringify(OPEN_CLIP_PADDING);
  return textIn(place.folder, name);
}

async function isTokenizer(folder: Files): Promise<boolean> {
  const has = (name: string) => hasFile(folder, name);
  return ((await has('vocab.json')) && (await has('merges.txt'))) || has('tokenizer.json');
}
