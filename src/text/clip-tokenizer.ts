/**
 * CLIP's tokenizer: text to ids, exactly as transformers 5 does it (`CLIPTokenizer`, which neither repairs mojibake
 * nor resolves HTML entities). Special tokens written in a prompt are recognised, as they are there.
 */
import { InputError } from '../errors.ts';
import { type HostTensor, hostTensor } from '../graph/host-tensor.ts';
import { BytePairEncoding, type BytePairVocabulary } from './byte-pair-encoding.ts';
import { normalizeText, splitWords } from './pre-tokenizer.ts';

/** A token that stands for itself in texts, such as `<|endoftext|>`. */
export interface SpecialToken {
  readonly content: string;
  readonly id: number;
  /** Whether it is looked for in the normalised text, where `<|STARTOFTEXT|>` is found too, or in the text as is. */
  readonly normalized: boolean;
}

/** A vocabulary, and the ids that mean something. */
export interface ClipTokenizerOptions extends BytePairVocabulary {
  /** All that are recognised in a text, those below among them. */
  readonly specialTokens: readonly SpecialToken[];
  readonly bos: number;
  readonly eos: number;
  /** Fills up to the length: SD 1 and 2 take eos, SDXL's second tokenizer takes "!". */
  readonly pad: number;
  /** For bytes that the vocabulary lacks. */
  readonly unknown: number;
  /** Ids per text, bos and eos included. */
  readonly maxLength: number;
}

/** A text as a text encoder takes it. */
export interface TokenizedText {
  /** bos, the text, eos, padding: as many as were asked for. */
  readonly ids: readonly number[];
  /** What did not fit, in normalised form, from the first word that is not complete; undefined when all did. */
  readonly truncated: string | undefined;
}

/** A token, and where its word begins: in which segment, at which character. */
interface PlacedToken {
  readonly id: number;
  readonly segment: number;
  readonly start: number;
}

/** CLIP's tokenizer, with the vocabulary and the special tokens of a model. */
export class ClipTokenizer {
  readonly bos: number;
  readonly eos: number;
  readonly pad: number;
  readonly maxLength: number;
  /** One more than the largest id: the rows that a text encoder's embedding must have. */
  readonly vocabularySize: number;
  readonly #encoding: BytePairEncoding;
  readonly #cutAsWritten: (text: string) => Segment[];
  readonly #cutNormalized: (text: string) => Segment[];

  constructor(options: ClipTokenizerOptions) {
    this.bos = options.bos;
    this.eos = options.eos;
    this.pad = options.pad;
    this.maxLength = options.maxLength;
    const ids = [...options.vocabulary.values(), ...options.specialTokens.map(({ id }) => id)];
    this.vocabularySize = ids.reduce((largest, id) => Math.max(largest, id), -1) + 1;
    this.#encoding = new BytePairEncoding(options, options.unknown);
    const normalized = options.specialTokens.filter((token) => token.normalized);
    const asWritten = options.specialTokens.filter((token) => !token.normalized);
    this.#cutAsWritten = cutterFor(new Map(asWritten.map(({ content, id }) => [content, id])));
    this.#cutNormalized = cutterFor(
      new Map(normalized.map(({ content, id }) => [normalizeText(content), id])),
    );
  }

  /** All ids of a text: bos, the text however long it is, eos. */
  encode(text: string): number[] {
    const ids = [this.bos];
    for (const { id } of this.#place(this.#segments(text))) ids.push(id);
    ids.push(this.eos);
    return ids;
  }

  /** Exactly `length` ids: cut at the end of the text when it is too long, padded when it is too short. */
  tokenize(text: string, length = this.maxLength): TokenizedText {
    if (!Number.isInteger(length) || length < 2) {
      throw new RangeError(`a text has at least two tokens, bos and eos: a length of ${length} is too small`);
    }
    const segments = this.#segments(text);
    const kept: number[] = [];
    let left: PlacedToken | undefined;
    for (const token of this.#place(segments)) {
      if (kept.length === length - 2) {
        left = token;
        break;
      }
      kept.push(token.id);
    }
    const padding = new Array<number>(length - 2 - kept.length).fill(this.pad);
    const truncated =
      left &&
      [
        segments[left.segment]!.text.slice(left.start),
        ...segments.slice(left.segment + 1).map((segment) => segment.text),
      ].join('');
    return { ids: [this.bos, ...kept, this.eos, ...padding], truncated };
  }

  /** The ids of several texts → int64 [B, length]. */
  tokenizeBatch(texts: readonly string[], length = this.maxLength): HostTensor {
    const ids = texts.flatMap((text) => this.tokenize(text, length).ids);
    return hostTensor(BigInt64Array.from(ids, BigInt), [texts.length, length]);
  }

  /** Special tokens as written, then normalised text with the special tokens that are found only in that. */
  #segments(text: string): Segment[] {
    return this.#cutAsWritten(text).flatMap((part) =>
      part.special === undefined ? this.#cutNormalized(normalizeText(part.text)) : [part],
    );
  }

  /** Word by word, as they are asked for: of a long text mostly the beginning is. */
  *#place(segments: readonly Segment[]): Generator<PlacedToken> {
    for (const [segment, { text, special }] of segments.entries()) {
      if (special !== undefined) {
        yield { id: special, segment, start: 0 };
        continue;
      }
      for (const word of splitWords(text)) {
        for (const id of this.#encoding.encode(word.text)) yield { id, segment, start: word.start };
      }
    }
  }
}

interface Segment {
  readonly text: string;
  /** The id, when the segment is a special token. */
  readonly special?: number;
}

/** Splits a text at special tokens, which become segments of their own; the longest counts where several fit. */
function cutterFor(ids: ReadonlyMap<string, number>): (text: string) => Segment[] {
  const lengths = [...new Set([...ids.keys()].map((content) => content.length))].sort((a, b) => b - a);
  const beginnings = new Set([...ids.keys()].map((content) => content[0]));
  return (text) => {
    const segments: Segment[] = [];
    let plain = 0;
    for (let at = 0; at < text.length; ) {
      const length =
        beginnings.has(text[at]) && lengths.find((candidate) => ids.has(text.slice(at, at + candidate)));
      if (!length) {
        at++;
        continue;
      }
      if (plain < at) segments.push({ text: text.slice(plain, at) });
      const content = text.slice(at, at + length);
      segments.push({ text: content, special: ids.get(content)! });
      at += length;
      plain = at;
    }
    if (plain < text.length) segments.push({ text: text.slice(plain) });
    return segments;
  };
}

/** Throws InputError when a tokenizer makes ids that a text encoder's embedding does not have. */
export function requireFitting(tokenizer: ClipTokenizer, vocabularySize: number, location: string): void {
  if (tokenizer.vocabularySize <= vocabularySize) return;
  throw new InputError(
    `${location}: the tokenizer makes ids up to ${tokenizer.vocabularySize - 1}, the text encoder's vocab_size is ${vocabularySize}; they do not belong together`,
    { path: location, code: 'mismatch' },
  );
}
