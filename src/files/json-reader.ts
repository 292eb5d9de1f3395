/**
 * Reading JSON piece by piece: whoever reads says what comes next, so that what must not be there is refused where it
 * begins, and nothing is made of it. What `parseJson` and the header of safetensors files are read with.
 */
import { InputError } from '../errors.ts';

/** Values that are one word; the last three are Python's. */
const WORDS: readonly (readonly [word: string, value: unknown])[] = [
  ['true', true],
  ['false', false],
  ['null', null],
  ['NaN', Number.NaN],
  ['Infinity', Number.POSITIVE_INFINITY],
  ['-Infinity', Number.NEGATIVE_INFINITY],
];

const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const HEX = /^[0-9a-fA-F]{4}$/;
const ESCAPES: ReadonlyMap<string, string> = new Map(
  Object.entries({ '"': '"', '\\': '\\', '/': '/', b: '\b', f: '\f', n: '\n', r: '\r', t: '\t' }),
);

/** A whole number of at least 0, and nothing that goes on with it. */
const WHOLE_NUMBER = /(?:0|[1-9]\d*)(?![\d.eE])/y;

export class JsonReader {
  readonly #text: string;
  readonly #about: string;
  readonly #file: string;
  #at = 0;
  #spelling = '';

  /** about: what messages begin with, such as `config.json is not valid JSON`; `file` is the place of their errors. */
  constructor(text: string, about: string, file: string) {
    this.#file = file;
    this.#text = text;
    this.#about = about;
    // A byte order mark.
    if (text.charCodeAt(0) === 0xfeff) this.#at = 1;
  }

  /** The number that was read last, as it is spelled. */
  get spelling(): string {
    return this.#spelling;
  }

  /** Where the reader stands: `line 3, column 5`. */
  get place(): string {
    const at = this.#at;
    let [line, begin] = [1, 0];
    for (let end = this.#text.indexOf('\n'); end >= 0 && end < at; end = this.#text.indexOf('\n', begin)) {
      line++;
      begin = end + 1;
    }
    const column = `column ${at - begin + 1}`;
    return this.#text.includes('\n') ? `line ${line}, ${column}` : column;
  }

  /** The character that the next value, or whatever comes, begins with; empty at the end. */
  next(): string {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) break;
      this.#at++;
    }
    return this.#text[this.#at] ?? '';
  }

  /** An object. `member` is told each key and reads the value. */
  object(member: (key: string) => void): void {
    if (!this.#skip('{')) this.fail('an object');
    if (this.#skip('}')) return;
    do {
      if (this.next() !== '"') this.fail('a key in double quotes');
      const key = this.string();
      if (!this.#skip(':')) this.fail('":"');
      member(key);
    } while (this.#skip(','));
    if (!this.#skip('}')) this.fail('"," or "}"');
  }

  /** A list. `item` reads each of its values. */
  list(item: () => void): void {
    if (!this.#skip('[')) this.fail('a list');
    if (this.#skip(']')) return;
    do item();
    while (this.#skip(','));
    if (!this.#skip(']')) this.fail('"," or "]"');
  }

  /** `expected` says what for. */
  string(expected = 'a text'): string {
    if (this.next() !== '"') this.fail(expected);
    const text = this.#text;
    let start = this.#at + 1;
    let string = '';
    for (let at = start; ; at++) {
      const code = text.charCodeAt(at);
      if (code === 0x22) {
        this.#at = at + 1;
        return string + text.slice(start, at);
      }
      if (code === 0x5c) {
        string += text.slice(start, at);
        this.#at = at;
        const letter = text[at + 1] ?? '';
        if (letter === 'u') {
          const digits = text.slice(at + 2, at + 6);
          if (!HEX.test(digits)) this.fail('four hexadecimal digits after \\u');
          string += String.fromCharCode(Number.parseInt(digits, 16));
          at += 5;
        } else {
          string += ESCAPES.get(letter) ?? this.fail('an escape such as \\n');
          at += 1;
        }
        start = at + 1;
      } else if (!(code >= 0x20)) {
        // Control characters, and NaN at the end of the text.
        this.#at = at;
        this.fail('the rest of a text and its closing quote');
      }
    }
  }

  /** A number, or `true`, `null`, `NaN` and their like. */
  word(): unknown {
    this.next();
    NUMBER.lastIndex = this.#at;
    const number = NUMBER.exec(this.#text)?.[0];
    if (number !== undefined) {
      this.#at += number.length;
      this.#spelling = number;
      return Number(number);
    }
    for (const [word, value] of WORDS) {
      if (this.#text.startsWith(word, this.#at)) {
        this.#at += word.length;
        this.#spelling = word;
        return value;
      }
    }
    return this.fail('a value');
  }

  /** A whole number of at least 0 that JavaScript has exactly; `what` says what for. */
  wholeNumber(what: string): number {
    this.next();
    WHOLE_NUMBER.lastIndex = this.#at;
    const spelling = WHOLE_NUMBER.exec(this.#text)?.[0] ?? '';
    const value = Number(spelling);
    if (spelling === '' || !Number.isSafeInteger(value))
      this.fail(`a whole number of at least 0 for ${what}`);
    this.#at += spelling.length;
    return value;
  }

  /** Nothing but space may follow. */
  end(): void {
    if (this.next() !== '') this.fail('the end');
  }

  /** Throws InputError: what was expected at this place, and what is there. */
  fail(expected: string): never {
    const rest = this.#text.slice(this.#at, this.#at + 12);
    const found = rest === '' ? 'the end of the file' : JSON.stringify(rest);
    throw new InputError(`${this.#about}: ${this.place}: expected ${expected}, found ${found}`, {
      path: this.#file,
      code: 'damaged',
    });
  }

  #skip(character: string): boolean {
    if (this.next() !== character) return false;
    this.#at++;
    return true;
  }
}
