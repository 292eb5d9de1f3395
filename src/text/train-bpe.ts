/** Learning a vocabulary from captions, for models that train their own text encoder. */
import type { BytePairVocabulary } from './byte-pair-encoding.ts';
import type { ClipTokenizer } from './clip-tokenizer.ts';
import { BYTE_SYMBOLS, END_OF_WORD, normalizeText, splitWords, symbolsOf } from './pre-tokenizer.ts';
import { loadClipTokenizer } from './tokenizer-files.ts';

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';

/** What every vocabulary has, so that any text can be written: bos, eos, every byte within and at the end of a word. */
const ALPHABET = [BOS, EOS, ...BYTE_SYMBOLS, ...BYTE_SYMBOLS.map((symbol) => symbol + END_OF_WORD)];

/** The files of a tokenizer folder that diffusers and transformers read, by name. */
export type TokenizerFiles = Readonly<Record<string, string>>;

/**
 * Byte pair encoding (Sennrich et al. 2016, algorithm 1) over CLIP's words: ids are bos 0, eos 1, the 256 byte symbols,
 * the same at the end of a word, then the merges, the most frequent pair first and of equally frequent ones, as in
 * huggingface/tokenizers' `BpeTrainer`, that with the smaller ids. It ends when `vocabularySize` is reached or every
 * word is one token. The result does not depend on the order of the captions.
 *
 * It is made for the thousands of different words of a small domain: every merge looks at all pairs.
 */
export function trainBytePairEncoding(
  captions: Iterable<string>,
  vocabularySize: number,
): BytePairVocabulary {
  const words = countWords(captions);
  const tokens = [...ALPHABET];
  const vocabulary = new Map(tokens.map((token, id) => [token, id]));
  const idOf = (token: string): number => {
    const known = vocabulary.get(token);
    if (known !== undefined) return known;
    vocabulary.set(token, tokens.length);
    return tokens.push(token) - 1;
  };
  const corpus = [...words].map(([word, count]) => ({ ids: symbolsOf(word).map(idOf), count }));

  const pairs = new PairCounts();
  for (const { ids, count } of corpus) pairs.add(ids, count);
  const merges: [string, string][] = [];
  while (tokens.length < vocabularySize) {
    const best = pairs.mostFrequent();
    if (!best) break;
    const [left, right] = best;
    const merge = [tokens[left]!, tokens[right]!] as [string, string];
    const joined = idOf(merge.join(''));
    merges.push(merge);
    for (const word of corpus) {
      const ids = joinPair(word.ids, left, right, joined);
      if (ids.length === word.ids.length) continue;
      pairs.add(word.ids, -word.count);
      pairs.add(ids, word.count);
      word.ids = ids;
    }
  }
  return { vocabulary, merges };
}

/** A tokenizer's files; `maxLength` is the number of ids per text. */
export function tokenizerFiles(
  { vocabulary, merges }: BytePairVocabulary,
  maxLength: number,
): TokenizerFiles {
  const special = (content: string) => ({
    content,
    lstrip: false,
    normalized: content === BOS,
    rstrip: false,
    single_word: false,
    special: true,
  });
  const settings = {
    added_tokens_decoder: { 0: special(BOS), 1: special(EOS) },
    bos_token: BOS,
    eos_token: EOS,
    unk_token: EOS,
    pad_token: EOS,
    do_lower_case: true,
    errors: 'replace',
    model_max_length: maxLength,
    tokenizer_class: 'CLIPTokenizer',
  };
  // The JSON is written by hand, because an object would put tokens that are digits first.
  const byId = [...vocabulary].sort(([, a], [, b]) => a - b);
  const members = byId.map(([token, id]) => `${JSON.stringify(token)}:${id}`);
  return {
    'vocab.json': `{${members.join(',')}}\n`,
    'merges.txt': ['#version: 0.2', ...merges.map((pair) => pair.join(' ')), ''].join('\n'),
    'tokenizer_config.json': `${JSON.stringify(settings, null, 2)}\n`,
  };
}

/**
 * A tokenizer for texts like `texts`: at most `size` tokens, of which those of the alphabet are given, and `maxLength` ids
 * per text.
 */
export function trainTokenizer(texts: Iterable<string>, size: number, maxLength: number): TokenizerFiles {
  return tokenizerFiles(trainBytePairEncoding(texts, size), maxLength);
}

/** The tokenizer of these files. */
export function tokenizerFromFiles(files: TokenizerFiles): Promise<ClipTokenizer> {
  return loadClipTokenizer(async (file) => files[file], 'the trained tokenizer');
}

function countWords(captions: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>();
  for (const caption of captions) {
    for (const { text } of splitWords(normalizeText(caption))) counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

/** How often each pair of neighbouring tokens occurs. */
class PairCounts {
  readonly #counts = new Map<number, Map<number, number>>();

  add(ids: readonly number[], count: number): void {
    for (let i = 0; i + 1 < ids.length; i++) {
      const [left, right] = [ids[i]!, ids[i + 1]!];
      const row = this.#counts.get(left) ?? new Map<number, number>();
      this.#counts.set(left, row);
      row.set(right, (row.get(right) ?? 0) + count);
    }
  }

  mostFrequent(): [number, number] | undefined {
    let best: [number, number] | undefined;
    let most = 0;
    for (const [left, row] of this.#counts) {
      for (const [right, count] of row) {
        const first = best === undefined || left < best[0] || (left === best[0] && right < best[1]);
        if (count > most || (count === most && count > 0 && first)) {
          best = [left, right];
          most = count;
        }
      }
    }
    return best;
  }
}

function joinPair(ids: readonly number[], left: number, right: number, joined: number): number[] {
  const result: number[] = [];
  for (let i = 0; i < ids.length; i++) {
    const pair = ids[i] === left && ids[i + 1] === right;
    result.push(pair ? joined : ids[i]!);
    if (pair) i++;
  }
  return result;
}
