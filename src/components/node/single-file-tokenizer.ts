/** Where the tokenizers of a single-file checkpoint, which holds none, come from. */
import { basename, dirname, join } from 'node:path';
import { InputError } from '../../errors.ts';
import { parseJsonObject } from '../../files/json.ts';
import { isFile } from '../../files/node/path-kind.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import { findCachedModel } from '../../hub/node/cache.ts';
import { partFiles } from '../../weights/node/copied-files.ts';
import type { Checkpoint } from '../../weights/single-file/checkpoint.ts';
import type { StoredModel } from './stored-model.ts';

/** CLIP's own tokenizer on the hub. */
const CLIP = 'openai/clip-vit-large-patch14';

/** The vocabulary is CLIP's own, but OpenCLIP was trained on prompts padded with id 0. */
const PADDING = { pad_token: '!' };

export interface TokenizerSource {
  /** `file` of the tokenizer that the pipeline calls `part`; undefined when there is none. */
  text(part: string, file: string): Promise<string | undefined>;
  copies: StoredModel['copies'];
}

interface Place {
  /** What the folder belongs to. */
  readonly root: string;
  readonly folder: string;
}

export interface TokenizerPlaces {
  /** Of the checkpoint. */
  readonly path: string;
  /** A folder with a tokenizer, or a diffusers directory that has one, that somebody named. */
  readonly named: string | undefined;
  /** A diffusers directory that describes the checkpoint. */
  readonly config: StoredModel | undefined;
}

/**
 * The tokenizers of `checkpoint`, looked for when they are asked for. Throws InputError then, saying what to do, when
 * there are none to be found.
 */
export function tokenizerSource(
  { path, named, config }: TokenizerPlaces,
  checkpoint: Checkpoint,
): TokenizerSource {
  if (named === undefined && config !== undefined) {
    return { text: (part, file) => config.text(`${part}/${file}`), copies: (part) => config.copies(part) };
  }
  const padsOtherwise = (part: string, folder: string) => {
    const encoder = part === 'tokenizer' ? 0 : Number(part.slice('tokenizer_'.length)) - 1;
    return basename(folder) !== 'tokenizer_2' && checkpoint.textEncoders[encoder] === 'open-clip';
  };
  return {
    async text(part, file) {
      const { folder } = await find(path, named, part);
      if (file === 'special_tokens_map.json' && padsOtherwise(part, folder)) return JSON.stringify(PADDING);
      return readTextIfThere(join(folder, file));
    },
    async copies(part) {
      const { root, folder } = await find(path, named, part);
      const files = await partFiles(root, folder);
      if (!padsOtherwise(part, folder)) return files;
      const settings = files['tokenizer_config.json'] ?? '{}';
      const text = typeof settings === 'string' ? settings : new TextDecoder().decode(settings);
      const config = { ...parseJsonObject(text, join(folder, 'tokenizer_config.json')), ...PADDING };
      return {
        ...files,
        'special_tokens_map.json': JSON.stringify(PADDING),
        'tokenizer_config.json': JSON.stringify(config, null, 2),
      };
    },
  };
}

async function find(path: string, named: string | undefined, part: string): Promise<Place> {
  const root = named ?? dirname(path);
  const cached = named === undefined ? await findCachedModel(CLIP) : undefined;
  const candidates: Place[] = [join(root, part), join(root, 'tokenizer'), root].map((folder) => ({
    root,
    folder,
  }));
  if (cached !== undefined) candidates.push({ root: cached, folder: cached });
  for (const place of candidates) {
    const has = (file: string) => isFile(join(place.folder, file));
    if (((await has('vocab.json')) && (await has('merges.txt'))) || (await has('tokenizer.json')))
      return place;
  }
  if (named !== undefined) {
    throw new InputError(
      `${named} holds no tokenizer: expected vocab.json and merges.txt, or tokenizer.json`,
      { path: named },
    );
  }
  throw new InputError(
    `${path} carries no tokenizer, as single files do not. Pass the folder of one with --tokenizer: that of any Stable Diffusion model in the diffusers layout will do. Or download CLIP's, 1.5 MB, once: ` +
      `lcm pull ${CLIP} --file vocab.json --file merges.txt`,
    { path },
  );
}
