/** A CLIP tokenizer from its files: vocab.json with merges.txt, or tokenizer.json; its settings beside them. */
import { InputError, withPlace } from '../errors.ts';
import { isJsonObject, type JsonObject, parseJsonObject } from '../files/json.ts';
import { brief, shown } from '../messages.ts';
import type { BytePairVocabulary } from './byte-pair-encoding.ts';
import { ClipTokenizer, type SpecialToken } from './clip-tokenizer.ts';
import { END_OF_WORD } from './pre-tokenizer.ts';

/** Where files say nothing, and for values that stand for "no limit". */
const DEFAULT_LENGTH = 77;
const LARGEST_LENGTH = 1_000_000;

/** Special and added tokens: CLIP has 2, and each concept that was taught to a model some more. All are looked for in prompts. */
const MOST_ADDED = 4096;
/** Characters of one of them. */
const LONGEST_ADDED = 256;

const DEFAULT_TOKENS = {
  bos: '<|startoftext|>',
  eos: '<|endoftext|>',
  unk: '<|endoftext|>',
  pad: '<|endoftext|>',
};

/** Later ones win when two have the same content, as in transformers. */
const ROLES = ['bos', 'eos', 'unk', 'pad'] as const;

/**
 * Loads a tokenizer. `read` gives the text of a file of its folder, e.g. `vocab.json`, and undefined when there is
 * none; `location` names the folder in errors. Throws InputError when files are missing or do not fit together.
 */
export async function loadClipTokenizer(
  read: (file: string) => Promise<string | undefined>,
  location: string,
): Promise<ClipTokenizer> {
  const parse = async (file: string): Promise<JsonObject | undefined> => {
    const text = await read(file);
    return text === undefined ? undefined : parseJsonObject(text, `${location}/${file}`);
  };
  const config = (await parse('tokenizer_config.json')) ?? {};
  const specialTokensMap = (await parse('special_tokens_map.json')) ?? {};
  const vocab = await parse('vocab.json');
  const merges = await read('merges.txt');
  const whole = await parse('tokenizer.json');

  let pairs: BytePairVocabulary;
  if (vocab && merges !== undefined) {
    pairs = {
      vocabulary: readVocabulary(vocab, `${location}/vocab.json`),
      merges: readMerges(merges.split('\n'), `${location}/merges.txt`),
    };
  } else if (whole) {
    pairs = readModel(whole, `${location}/tokenizer.json`);
  } else {
    throw new InputError(
      `${location} holds no tokenizer: expected vocab.json and merges.txt, or tokenizer.json`,
      { path: location },
    );
  }
  const added = readAddedTokens(config.added_tokens_decoder, whole?.added_tokens, location);
  const special = readSpecialTokens(pairs.vocabulary, added, { ...config, ...specialTokensMap }, location);
  const maxLength = readLength(config.model_max_length);
  try {
    return new ClipTokenizer({ ...pairs, ...special, maxLength });
  } catch (error) {
    throw withPlace(location, error);
  }
}

function readModel(json: JsonObject, file: string): BytePairVocabulary {
  const model = isJsonObject(json.model) ? json.model : {};
  if (model.type !== 'BPE' || model.end_of_word_suffix !== END_OF_WORD || !isJsonObject(model.vocab)) {
    throw new InputError(
      `${file} is not CLIP's byte pair encoding (a BPE model with end_of_word_suffix "${END_OF_WORD}")`,
      { path: file },
    );
  }
  return {
    vocabulary: readVocabulary(model.vocab, file),
    merges: readMerges(Array.isArray(model.merges) ? model.merges : [], file),
  };
}

function readVocabulary(json: JsonObject, file: string): Map<string, number> {
  const vocabulary = new Map<string, number>();
  const tokens = new Map<number, string>();
  for (const [token, id] of Object.entries(json)) {
    if (!Number.isInteger(id) || (id as number) < 0 || (id as number) > 2 ** 24) {
      throw new InputError(`${file}: the token "${brief(token)}" has the id ${shown(id)}`, { path: file });
    }
    const other = tokens.get(id as number);
    if (other !== undefined)
      throw new InputError(`${file}: "${brief(other)}" and "${brief(token)}" both have the id ${id}`, {
        path: file,
      });
    tokens.set(id as number, token);
    vocabulary.set(token, id as number);
  }
  return vocabulary;
}

/** Lines "left right", or pairs as newer files have them. */
function readMerges(lines: readonly unknown[], file: string): [string, string][] {
  return lines.flatMap((line, i): [string, string][] => {
    if (line === '' || line === '\r' || (typeof line === 'string' && line.startsWith('#version'))) return [];
    const pair = typeof line === 'string' ? line.replace(/\r$/, '').split(' ') : line;
    if (
      !Array.isArray(pair) ||
      pair.length !== 2 ||
      !pair.every((part) => typeof part === 'string' && part !== '')
    ) {
      throw new InputError(`${file}: merge ${i + 1} is not a pair of tokens: ${shown(line)}`, { path: file });
    }
    return [pair as [string, string]];
  });
}

interface AddedToken {
  readonly id: number | undefined;
  readonly normalized: boolean;
}

/** From tokenizer_config.json, or else from tokenizer.json; undefined when neither lists them. */
function readAddedTokens(
  decoder: unknown,
  list: unknown,
  location: string,
): Map<string, AddedToken> | undefined {
  let entries: JsonObject[];
  if (isJsonObject(decoder)) {
    entries = Object.entries(decoder).map(([id, token]) => ({
      ...(isJsonObject(token) ? token : {}),
      id: Number(id),
    }));
  } else if (Array.isArray(list)) {
    entries = list.filter(isJsonObject);
  } else {
    return undefined;
  }
  if (entries.length > MOST_ADDED) {
    throw new InputError(`${location}: ${entries.length} added tokens; at most ${MOST_ADDED} are supported`, {
      path: location,
    });
  }
  return new Map(
    entries.map(({ id, ...token }) => {
      const content = contentOf(token, location);
      if (!Number.isInteger(id))
        throw new InputError(`${location}: the added token "${brief(content)}" has no id`, {
          path: location,
        });
      return [content, { id: id as number, normalized: token.normalized === true }];
    }),
  );
}

function readSpecialTokens(
  vocabulary: ReadonlyMap<string, number>,
  added: ReadonlyMap<string, AddedToken> | undefined,
  settings: JsonObject,
  location: string,
) {
  const tokens = new Map(added);
  const idOf = (role: (typeof ROLES)[number]): number => {
    const value = settings[`${role}_token`] ?? DEFAULT_TOKENS[role];
    const content = contentOf(value, location);
    // A list of added tokens also says how they are matched; without one, a plain text is matched as written.
    const listed = added?.get(content);
    tokens.set(
      content,
      listed ?? { id: undefined, normalized: isJsonObject(value) && value.normalized === true },
    );
    const id = vocabulary.get(content) ?? listed?.id;
    if (id === undefined)
      throw new InputError(`${location}: the ${role}_token "${brief(content)}" is not in the vocabulary`, {
        path: location,
      });
    return id;
  };
  const [bos, eos, unknown, pad] = ROLES.map(idOf) as [number, number, number, number];
  const specialTokens: SpecialToken[] = [...tokens].map(([content, { id, normalized }]) => ({
    content,
    id: vocabulary.get(content) ?? id!,
    normalized,
  }));
  return { bos, eos, unknown, pad, specialTokens };
}

/** The text of a token that is given as a string or as an object; refuses options that would change the matching. */
function contentOf(token: unknown, location: string): string {
  const content = isJsonObject(token) ? token.content : token;
  if (typeof content !== 'string' || content === '') {
    throw new InputError(`${location}: a special token is neither a text nor an object with "content"`, {
      path: location,
    });
  }
  if (content.length > LONGEST_ADDED) {
    throw new InputError(
      `${location}: the special token "${brief(content)}" has ${content.length} characters; at most ${LONGEST_ADDED} are supported`,
      { path: location },
    );
  }
  for (const option of ['lstrip', 'rstrip', 'single_word']) {
    if (isJsonObject(token) && token[option] === true) {
      throw new InputError(
        `${location}: the special token "${brief(content)}" has ${option}, which is not supported`,
        { path: location, code: 'unsupported' },
      );
    }
  }
  return content;
}

function readLength(value: unknown): number {
  const valid = Number.isInteger(value) && (value as number) >= 2 && (value as number) <= LARGEST_LENGTH;
  return valid ? (value as number) : DEFAULT_LENGTH;
}
