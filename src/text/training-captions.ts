/**
 * The language of a model that was trained on captions of a small world: every word that it has read. It lies beside the
 * tokenizer's own files, in `training_captions.json`, and goes wherever they go. Tokenizers can write any word, since they
 * know all letters; what a word that was never read draws is chance.
 */

import { InputError } from '../errors.ts';
import { parseJsonObject } from '../files/json.ts';
import { shown } from '../messages.ts';
import { nearest } from '../nearest.ts';
import { normalizeText, splitWords } from './pre-tokenizer.ts';

/** The name of the file in the tokenizer's folder. */
export const TRAINING_CAPTIONS = 'training_captions.json';

/** What a text encoder has read while it was trained: what its prompts are compared with. */
export interface TrainingCaptions {
  /** Words, lower case, the most frequent first. */
  readonly words: readonly string[];
  /** Whether these are all the words there were. */
  readonly complete: boolean;
  /** Some of the captions. */
  readonly examples: readonly string[];
}

/** Words that are kept. Who has read more of them knows a language and not a small world. */
const MOST_WORDS = 2000;
const EXAMPLES = 8;

/** Words of letters, as the tokenizer sees them: lower case, `snow-capped` being two. */
function* wordsOf(text: string): Generator<string> {
  for (const { text: word } of splitWords(normalizeText(text))) {
    if (/^\p{L}+$/u.test(word)) yield word;
  }
}

/**
 * What captions say, and what `earlier` ones said before them. Equally frequent words stand in the order of the alphabet.
 */
export function collectCaptions(captions: Iterable<string>, earlier?: TrainingCaptions): TrainingCaptions {
  const counts = new Map<string, number>();
  const different = new Set<string>();
  for (const caption of captions) {
    for (const word of wordsOf(caption)) counts.set(word, (counts.get(word) ?? 0) + 1);
    if (different.size < EXAMPLES && caption.trim() !== '') different.add(caption);
  }
  const sorted = [...counts].sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1)).map(([word]) => word);
  const all = [...new Set([...sorted, ...(earlier?.words ?? [])])];
  return {
    words: all.slice(0, MOST_WORDS),
    complete: all.length <= MOST_WORDS && (earlier?.complete ?? true),
    examples: [...different, ...(earlier?.examples ?? [])].slice(0, EXAMPLES),
  };
}

/** Reads the file `location`. Throws InputError for anything but what `collectCaptions` gives. */
export function parseTrainingCaptions(text: string, location: string): TrainingCaptions {
  const { words, complete, examples } = parseJsonObject(text, location);
  const isTexts = (value: unknown): value is string[] =>
    Array.isArray(value) && value.every((each) => typeof each === 'string');
  if (isTexts(words) && isTexts(examples) && typeof complete === 'boolean') {
    return { words, complete, examples };
  }
  const found = shown({ words, complete, examples });
  throw new InputError(
    `${location} holds ${found}; expected words and examples, which are lists of texts, and complete, true or false`,
    { path: location },
  );
}

/** Words of a prompt that a warning names. */
const NAMED = 4;

/** Says which words of prompts a model has never read, where it has kept all that it read. */
export function warnOfUnknownWords(
  known: TrainingCaptions | undefined,
  texts: readonly string[],
  onWarning: ((message: string) => void) | undefined,
): void {
  if (!known?.complete || !onWarning) return;
  const words = new Set(known.words);
  const unknown = [...new Set(texts.flatMap((text) => [...wordsOf(text)]))].filter(
    (word) => !words.has(word),
  );
  if (unknown.length === 0) return;
  const named = unknown.slice(0, NAMED).map((word) => {
    const near = nearest(word, known.words);
    return `${shown(word)}${near === undefined ? '' : ` (the nearest that it has read is ${shown(near)})`}`;
  });
  const more = unknown.length > NAMED ? ` and ${unknown.length - NAMED} more` : '';
  const [example] = known.examples;
  const captions = example === undefined ? '' : `, in captions such as ${shown(example)}`;
  onWarning(
    `the model has never read ${named.join(', ')}${more}: what that draws is chance. ` +
      `It has read ${words.size} words${captions}`,
  );
}
