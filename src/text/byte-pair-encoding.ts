/** Byte pair encoding (Sennrich et al. 2016): joins the neighbours whose merge was learnt first, as long as it can. */
import { InputError } from '../errors.ts';
import { symbolsOf } from './pre-tokenizer.ts';

export interface BytePairVocabulary {
  /** Ids by token. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of tokens in the order in which they are to be joined. */
  readonly merges: readonly (readonly [string, string])[];
}

/** Remembered words; cleared when full, so that a server's memory stays bounded. */
const CACHE_SIZE = 20_000;

export class BytePairEncoding {
  readonly #vocabulary: ReadonlyMap<string, number>;
  readonly #unknown: number;
  readonly #base: number;
  /** By pair of ids, `left · base + right`. */
  readonly #merges = new Map<number, { readonly rank: number; readonly joined: number }>();
  readonly #cache = new Map<string, readonly number[]>();

  /** `unknown`: the id for symbols without one. Throws InputError when a merge uses a token without an id. */
  constructor({ vocabulary, merges }: BytePairVocabulary, unknown: number) {
    this.#vocabulary = vocabulary;
    this.#unknown = unknown;
    this.#base = [...vocabulary.values()].reduce((largest, id) => Math.max(largest, id), 0) + 1;
    merges.forEach(([left, right], rank) => {
      const joined = this.#idOf(left + right);
      this.#merges.set(this.#idOf(left) * this.#base + this.#idOf(right), { rank, joined });
    });
  }

  /** The ids of a word. */
  encode(word: string): readonly number[] {
    const known = this.#cache.get(word);
    if (known) return known;
    const ids = this.#merge(symbolsOf(word).map((symbol) => this.#vocabulary.get(symbol) ?? -1));
    const result = ids.map((id) => (id === -1 ? this.#unknown : id));
    if (this.#cache.size >= CACHE_SIZE) this.#cache.clear();
    this.#cache.set(word, result);
    return result;
  }

  #merge(ids: number[]): number[] {
    const mergeAt = (i: number) => {
      const [left, right] = [ids[i]!, ids[i + 1] ?? -1];
      return left < 0 || right < 0 ? undefined : this.#merges.get(left * this.#base + right);
    };
    const rankAt = (i: number) => mergeAt(i)?.rank ?? Number.POSITIVE_INFINITY;
    const ranks = ids.map((_, i) => rankAt(i));
    while (true) {
      let best = -1;
      let lowest = Number.POSITIVE_INFINITY;
      for (let i = 0; i < ranks.length; i++) {
        if (ranks[i]! < lowest) {
          lowest = ranks[i]!;
          best = i;
        }
      }
      if (best === -1) return ids;
      ids.splice(best, 2, mergeAt(best)!.joined);
      ranks.splice(best, 1);
      ranks[best] = rankAt(best);
      if (best > 0) ranks[best - 1] = rankAt(best - 1);
    }
  }

  #idOf(token: string): number {
    const id = this.#vocabulary.get(token);
    if (id === undefined)
      throw new InputError(`the tokenizer's merges use "${token}", which its vocabulary lacks`);
    return id;
  }
}
