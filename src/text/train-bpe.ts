/** Learning a vocabulary from captions, for models that train their own text encoder. */
import type { BytePairVocabulary } from './byte-pair-encoding.ts';
import { BYTE_SYMBOLS, normalizeText, splitWords, symbolsOf } from './pre-tokenizer.ts';

const BOS = '<|startoftext|>';
const EOS = '<|endoftext|>';

/**
 * Byte pair encoding (Sennrich et al. 2016, algorithm 1) over CLIP's words, as huggingface/tokenizers' `BpeTrainer`
 * learns it: ids are bos 0, eos 1, the 256 byte symbols, the symbols seen at the end of a word, then the merges,
 * the most frequent pair first and of equally frequent ones that with the smaller ids. It ends when `vocabularySize`
 * is reached or every word is one token. The result does not depend on the order of the captions.
 *
 * Made for the thousands of different words of a small domain: every merge looks at all pairs.
 */
export function trainBytePairEncoding(
  captions: Iterable<string>,
  vocabularySize: number,
): BytePairVocabulary {
  const words = countWords(captions);
  const tokens = [BOS, EOS, ...[...BYTE_SYMBOLS].sort()];
  const vocabulary = new Map(tokens.map((token, id) => [token, id]));
  const idOf = (token: string): number => {
    const known = vocabulary.get(token);
    if (known !== undefined) return known;
    vocabulary.set(token, tokens.length);
    return tokens.push(token) - 1;
  };
  const corpus = [...words.keys()].sort().map((word) => ({
    ids: symbolsOf(word).map(idOf),
    count: words.get(word)!,
  }));

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

/**
 * The files of a tokenizer folder by name, for this package and for transformers' `CLIPTokenizer`; `maxLength` is
 * the number of ids per text.
 */
export function tokenizerFiles(
  { vocabulary, merges }: BytePairVocabulary,
  maxLength: number,
): Record<string, string> {
  const special = (content: string) => ({
    content,
    lstrip: false,
    normalized: true,
    rstrip: false,
    single_word: false,
  });
  const specialTokens = {
    bos_token: special(BOS),
    eos_token: special(EOS),
    pad_token: EOS,
    unk_token: special(EOS),
  };
  const byId = [...vocabulary].sort(([, a], [, b]) => a - b);
  const members = byId.map(([token, id]) => `${JSON.stringify(token)}:${id}`); // an object would reorder digits
  const pretty = (value: object) => `${JSON.stringify(value, null, 2)}\n`;
  return {
    'vocab.json': `{${members.join(',')}}\n`,
    'merges.txt': ['#version: 0.2', ...merges.map((pair) => pair.join(' ')), ''].join('\n'),
    'special_tokens_map.json': pretty(specialTokens),
    'tokenizer_config.json': pretty({
      add_prefix_space: false,
      do_lower_case: true,
      errors: 'replace',
      model_max_length: maxLength,
      bos_token: BOS,
      eos_token: EOS,
      pad_token: EOS,
      unk_token: EOS,
      tokenizer_class: 'CLIPTokenizer',
    }),
  };
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
