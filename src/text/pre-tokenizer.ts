/**
 * From text to the words that CLIP's byte pair encoding works on: normalisation, splitting, bytes as symbols.
 * Follows transformers' `CLIPTokenizer` (Radford et al. 2021 for the pattern; Radford et al. 2019 for the bytes).
 * What is a letter is up to the Unicode version of the JavaScript engine: for scripts that entered Unicode after
 * version 15 two engines, or transformers, may split differently.
 */

/** What stands behind the last symbol of each word. */
export const END_OF_WORD = '</w>';

/** White space as Unicode defines it; JavaScript's `\s` has U+FEFF more and U+0085 less. */
const SPACES = /\p{White_Space}+/gu;

const CLIP_WORDS =
  /<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}|[^\p{White_Space}\p{L}\p{N}]+/gu;

/** GPT-2's pattern, less the parts that concern spaces. It takes apart nothing but a literal `<|endoftext|>`. */
const GPT2_WORDS = /'s|'t|'re|'ve|'m|'ll|'d|\p{L}+|\p{N}+|[^\p{White_Space}\p{L}\p{N}]+/gu;

/**
 * Canonical composition, one space for every run of white space, lower case. Each character is lowered by itself:
 * `toLowerCase` on the whole would turn a capital sigma at the end of a word into a final one.
 */
export function normalizeText(text: string): string {
  const composed = text.normalize('NFC').replace(SPACES, ' ');
  return Array.from(composed, (character) => character.toLowerCase()).join('');
}

export interface Word {
  readonly text: string;
  /** Where it begins in the text. */
  readonly start: number;
}

/** Splits normalised text into words, as they are asked for: letters, single digits, contractions, runs of everything else. */
export function* splitWords(text: string): Generator<Word> {
  for (const outer of text.matchAll(CLIP_WORDS)) {
    for (const inner of outer[0].matchAll(GPT2_WORDS)) {
      yield { text: inner[0], start: outer.index + inner.index };
    }
  }
}

/**
 * The printable character that stands for each byte in vocabularies: itself where it is printable, else U+0100 and
 * up in turn (GPT-2's `bytes_to_unicode`).
 */
export const BYTE_SYMBOLS: readonly string[] = byteSymbols();

/** The symbols of a word, one for each byte of its UTF-8 form, the last one marked as the word's end. */
export function symbolsOf(word: string): string[] {
  const symbols = Array.from(new TextEncoder().encode(word), (byte) => BYTE_SYMBOLS[byte]!);
  if (symbols.length > 0) symbols[symbols.length - 1] += END_OF_WORD;
  return symbols;
}

function byteSymbols(): string[] {
  const printable = (byte: number) =>
    (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || (byte >= 0xae && byte <= 0xff);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) => String.fromCharCode(printable(byte) ? byte : next++));
}
