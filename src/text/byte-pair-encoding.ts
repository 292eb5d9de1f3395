/** Byte pair encoding (Sennrich et al. 2016): joins the neighbours whose merge was learnt first, as long as it can. */
import { InputError } from '../errors.ts';
import { brief } from '../messages.ts';
import { MinHeap } from './min-heap.ts';
import { symbolsOf } from './pre-tokenizer.ts';

/** The tokens of a byte-pair encoding, and the merges that make them. */
export interface BytePairVocabulary {
  /** Ids by token. */
  readonly vocabulary: ReadonlyMap<string, number>;
  /** Pairs of tokens in the order in which they are to be joined. */
  readonly merges: readonly (readonly [string, string])[];
}

/**
 * How many words are remembered, and how long they are at most; all are forgotten when there are as many, so that a
 * server's memory stays bounded.
 */
const CACHE_SIZE = 20_000;
const LONGEST_REMEMBERED = 64;

/** In place of the id of a symbol that was joined with the one before it. */
const GONE = -2;

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
    if (word.length <= LONGEST_REMEMBERED) {
      if (this.#cache.size >= CACHE_SIZE) this.#cache.clear();
      this.#cache.set(word, result);
    }
    return result;
  }

  /**
   * Always joins the pair of the lowest rank, of several the first: n symbols in n·log n steps. ids: those of the
   * symbols, −1 for one that the vocabulary lacks; what is joined keeps the place of its left part.
   */
  #merge(ids: number[]): number[] {
    const count = ids.length;
    // The symbols as a list that is linked both ways, from 0 to `count`.
    const next = Int32Array.from(ids, (_, i) => i + 1);
    const previous = Int32Array.from(ids, (_, i) => i - 1);
    const mergeAt = (i: number) => {
      const [left, right] = [ids[i]!, next[i]! < count ? ids[next[i]!]! : -1];
      return left < 0 || right < 0 ? undefined : this.#merges.get(left * this.#base + right);
    };
    const waiting = new MinHeap();
    const wait = (i: number) => {
      const merge = mergeAt(i);
      if (merge) waiting.push(merge.rank * count + i);
    };
    for (let i = 0; i < count; i++) wait(i);
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      const i = key % count;
      const merge = mergeAt(i);
      // What waited may be gone: joined with its other neighbour, or with the one before it.
      if (merge?.rank !== (key - i) / count) continue;
      ids[i] = merge.joined;
      ids[next[i]!] = GONE;
      next[i] = next[next[i]!]!;
      if (next[i]! < count) previous[next[i]!] = i;
      wait(i);
      if (previous[i]! >= 0) wait(previous[i]!);
    }
    return ids.filter((id) => id !== GONE);
  }

  #idOf(token: string): number {
    const id = this.#vocabulary.get(token);
    if (id === undefined)
      throw new InputError(`the tokenizer's merges use "${brief(token)}", which its vocabulary lacks`);
    return id;
  }
}
