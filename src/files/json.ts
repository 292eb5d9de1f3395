/**
 * JSON as other people's programs write it. Read is what RFC 8259 says, and what Python adds: `NaN`, `Infinity` and
 * `-Infinity`, which diffusers writes for some schedulers, and a byte order mark. Of repeated keys the last one counts,
 * as everywhere; a key `__proto__` is a key like any other. How deep values lie in each other is bounded. How numbers were
 * spelled is remembered for `formatJson`.
 */
import { InputError } from '../errors.ts';
import { rememberSpelling } from './number-spelling.ts';

export type JsonObject = Readonly<Record<string, unknown>>;

/** Levels of lists and objects in each other: tokenizer.json, the deepest of the files that are read, has 7. */
const DEEPEST = 64;

/** Throws InputError, naming `file` and the place in it, for a text that is not JSON. */
export function parseJson(text: string, file: string): unknown {
  return new Parser(text, file).parse();
}

/** As `parseJson`; throws InputError for anything but an object as well. */
export function parseJsonObject(text: string, file: string): JsonObject {
  const value = parseJson(text, file);
  if (isJsonObject(value)) return value;
  const kinds: Readonly<Record<string, string>> = { string: 'a text', number: 'a number' };
  const found = Array.isArray(value) ? 'a list' : (kinds[typeof value] ?? String(value));
  throw new InputError(`${file} must hold a JSON object, found ${found}`);
}

export function isJsonObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Values that are one word. */
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

class Parser {
  readonly #text: string;
  readonly #file: string;
  #at = 0;
  /** The number that was read last, as it is spelled. */
  #spelling = '';

  constructor(text: string, file: string) {
    this.#text = text;
    this.#file = file;
    if (text.charCodeAt(0) === 0xfeff) this.#at = 1;
  }

  parse(): unknown {
    this.#skipSpace();
    const value = this.#value(0);
    this.#skipSpace();
    if (this.#at < this.#text.length) this.#fail('the end');
    return value;
  }

  #value(depth: number): unknown {
    const character = this.#text[this.#at];
    if (character === '"') return this.#string();
    if (character === '{' || character === '[') {
      if (depth === DEEPEST) {
        throw new InputError(
          `${this.#file}: ${this.#place()} has lists and objects more than ${DEEPEST} deep in each other`,
        );
      }
      this.#at++;
      return character === '{' ? this.#object(depth + 1) : this.#list(depth + 1);
    }
    return this.#word();
  }

  #object(depth: number): JsonObject {
    const object: Record<string, unknown> = {};
    this.#skipSpace();
    if (this.#skip('}')) return object;
    do {
      this.#skipSpace();
      if (this.#text[this.#at] !== '"') this.#fail('a key in double quotes');
      const key = this.#string();
      this.#skipSpace();
      if (!this.#skip(':')) this.#fail('":"');
      this.#skipSpace();
      const value = this.#value(depth);
      // An assignment would exchange the object's prototype.
      if (key === '__proto__') {
        Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true });
      } else {
        object[key] = value;
      }
      if (typeof value === 'number') rememberSpelling(object, key, this.#spelling);
      this.#skipSpace();
    } while (this.#skip(','));
    if (!this.#skip('}')) this.#fail('"," or "}"');
    return object;
  }

  #list(depth: number): unknown[] {
    const list: unknown[] = [];
    this.#skipSpace();
    if (this.#skip(']')) return list;
    do {
      this.#skipSpace();
      const value = this.#value(depth);
      list.push(value);
      if (typeof value === 'number') rememberSpelling(list, list.length - 1, this.#spelling);
      this.#skipSpace();
    } while (this.#skip(','));
    if (!this.#skip(']')) this.#fail('"," or "]"');
    return list;
  }

  #string(): string {
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
          if (!HEX.test(digits)) this.#fail('four hexadecimal digits after \\u');
          string += String.fromCharCode(Number.parseInt(digits, 16));
          at += 5;
        } else {
          string += ESCAPES.get(letter) ?? this.#fail('an escape such as \\n');
          at += 1;
        }
        start = at + 1;
      } else if (!(code >= 0x20)) {
        // Control characters, and NaN at the end of the text.
        this.#at = at;
        this.#fail('the rest of a text and its closing quote');
      }
    }
  }

  #word(): unknown {
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
    return this.#fail('a value');
  }

  #skip(character: string): boolean {
    if (this.#text[this.#at] !== character) return false;
    this.#at++;
    return true;
  }

  #skipSpace(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at);
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
      this.#at++;
    }
  }

  #place(): string {
    const before = this.#text.slice(0, this.#at);
    const line = before.split('\n').length;
    const column = `column ${this.#at - before.lastIndexOf('\n')}`;
    return this.#text.includes('\n') ? `line ${line}, ${column}` : column;
  }

  #fail(expected: string): never {
    const rest = this.#text.slice(this.#at, this.#at + 12);
    const found = rest === '' ? 'the end of the file' : JSON.stringify(rest);
    throw new InputError(
      `${this.#file} is not valid JSON: ${this.#place()}: expected ${expected}, found ${found}`,
    );
  }
}
