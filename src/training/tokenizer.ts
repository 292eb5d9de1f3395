/** Learning a byte pair vocabulary from captions (Sennrich et al. 2016, algorithm 1), in CLIP's form. */
import type { ClipTokenizer } from '../text/clip-tokenizer.ts';
import { BYTE_SYMBOLS, END_OF_WORD, normalizeText, splitWords, symbolsOf } from '../text/pre-tokenizer.ts';
import { loadClipTokenizer } from '../text/tokenizer-files.ts';

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';

/** The files of a tokenizer folder that diffusers and transformers read, by name. */
export type TokenizerFiles = Readonly<Record<string, string>>;

/**
 * A tokenizer for texts like `texts`, with at most `size` tokens of which 514 are given: the two special ones and
 * every byte within and at the end of a word, so that any text can be written. `maxLength` ids per text.
 */
export function trainTokenizer(texts: Iterable<string>, size: number, maxLength: number): TokenizerFiles {
  const tokens = [BOS, EOS, ...BYTE_SYMBOLS, ...BYTE_SYMBOLS.map((symbol) => symbol + END_OF_WORD)];
  const merges = learnMerges(countWords(texts), size - tokens.length);
  tokens.push(...merges.map((pair) => pair.join('')));
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
  return {
    'vocab.json': JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id]))),
    'merges.txt': ['#version: 0.2', ...merges.map((pair) => pair.join(' ')), ''].join('\n'),
    'tokenizer_config.json': `${JSON.stringify(settings, null, 2)}\n`,
  };
}

/** The tokenizer of these files. */
export function tokenizerFromFiles(files: TokenizerFiles): Promise<ClipTokenizer> {
  return loadClipTokenizer(async (file) => files[file], 'the trained tokenizer');
}

interface CountedWord {
  symbols: string[];
  readonly count: number;
}

function countWords(texts: Iterable<string>): CountedWord[] {
  const counts = new Map<string, number>();
  for (const text of texts) {
    for (const { text: word } of splitWords(normalizeText(text)))
      counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  return [...counts].map(([word, count]) => ({ symbols: symbolsOf(word), count }));
}

/** Joins the most frequent pair of neighbours again and again; of equally frequent ones the first in order. */
function learnMerges(words: CountedWord[], limit: number): [string, string][] {
  const merges: [string, string][] = [];
  while (merges.length < limit) {
    const counts = new Map<string, number>();
    for (const { symbols, count } of words) {
      for (let i = 0; i + 1 < symbols.length; i++) {
        const pair = `${symbols[i]} ${symbols[i + 1]}`;
        counts.set(pair, (counts.get(pair) ?? 0) + count);
      }
    }
    let best: string | undefined;
    for (const [pair, count] of counts) {
      const most = best === undefined ? 0 : counts.get(best)!;
      if (count > most || (count === most && best !== undefined && pair < best)) best = pair;
    }
    if (best === undefined) break;
    const [left, right] = best.split(' ') as [string, string];
    merges.push([left, right]);
    for (const word of words) word.symbols = join(word.symbols, left, right);
  }
  return merges;
}

function join(symbols: readonly string[], left: string, right: string): string[] {
  const result: string[] = [];
  for (let i = 0; i < symbols.length; i++) {
    if (symbols[i] === left && symbols[i + 1] === right) {
      result.push(left + right);
      i++;
    } else {
      result.push(symbols[i]!);
    }
  }
  return result;
}
