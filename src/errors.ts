/**
 * Errors whose text is meant for the person who asked: what was expected, what was found, what to do. Their messages
 * are short whatever they show.
 */
import { shortened } from './messages.ts';

/** A setting that a message speaks of: each surface calls it by a name of its own, `--guidance-scale` or a field's. */
export interface Mention {
  /** As in a request: `guidanceScale`. */
  readonly setting: string;
  /** What the library's messages call it: `guidance scale`. */
  readonly words: string;
}

/** What a message says, with the settings that it speaks of. */
export type Message = string | readonly (string | Mention)[];

export function mention(setting: string, words = setting): Mention {
  return { setting, words };
}

/** A tag for messages: mentioning`give an ${mention('image')}`. */
export function mentioning(texts: TemplateStringsArray, ...values: readonly (string | number | Mention)[]) {
  return texts.flatMap((text, i) => {
    const value = values[i] ?? '';
    return [text, typeof value === 'number' ? String(value) : value];
  });
}

/** The message with the settings under the names that a surface has for them. */
export function said(message: Message, nameOf: (mention: Mention) => string): string {
  return [message]
    .flat()
    .map((part) => (typeof part === 'string' ? part : nameOf(part)))
    .join('');
}

const inWords = ({ words }: Mention) => words;

/** The request itself is wrong (a flag, a value, a size). The command line exits with 2. */
export class UsageError extends Error {
  override name = 'UsageError';
  readonly #message: Message;

  constructor(message: Message, options?: ErrorOptions) {
    super(shortened(said(message, inWords)), options);
    this.#message = message;
  }

  /** The message with the settings under the names that a surface has for them. */
  messageWith(nameOf: (mention: Mention) => string): string {
    return shortened(said(this.#message, nameOf));
  }
}

/** One setting of a request that cannot be what it is: its name stands apart from what is wrong with it. */
export class SettingError extends UsageError {
  override name = 'SettingError';
  /** As in a request: `guidanceScale`. */
  readonly setting: string;
  /** What was found and what was expected: `-2: expected a number from 0`. */
  readonly about: string;

  /** words: what messages call the setting, `guidance scale`. */
  constructor(setting: string, words: string, about: Message, options?: ErrorOptions) {
    super([mention(setting, words), ' ', ...[about].flat()], options);
    this.setting = setting;
    this.about = shortened(said(about, inWords));
  }
}

/** The request is fine but something it needs is not (a file, a model, the disk). The command line exits with 1. */
export class InputError extends Error {
  override name = 'InputError';

  constructor(message: string, options?: ErrorOptions) {
    super(shortened(message), options);
  }
}

/** An InputError with the place that it is about before its message, unless that names the place; others as they are. */
export function withPlace(place: string, error: unknown): unknown {
  if (!(error instanceof InputError) || error.message.includes(place)) return error;
  return new InputError(`${place}: ${error.message}`, { cause: error });
}
