/**
 * Errors whose text is meant for the person who asked: what was expected, what was found, what to do. Their messages
 * are short whatever they show.
 */
import { shortened } from './messages.ts';

/**
 * By what programs tell errors apart, whatever their texts say. A code keeps its meaning; there may be more of them.
 *
 * - `invalid-request`, `invalid-setting`: what was asked for cannot be done, or one setting of it cannot be what it is
 * - `not-enough-memory`: it could be done on a machine with more memory
 * - `not-found`: there is nothing of that name; `not-downloaded`: a model of the hub that is not on this machine yet
 * - `cannot-read`, `cannot-write`: the system, or a server, does not allow it or has no room; `in-use`: by another process
 * - `damaged`: it is cut off, or contradicts itself; `mismatch`: it is whole, and does not belong to the rest
 * - `unsupported`: it is right, and of a kind that is not known here
 * - `not-finite`: a network gave NaN or infinity
 * - `hub`: the hub cannot be reached, or refuses
 * - `invalid-input`: anything else that is wrong with what a request needs
 */
export type ErrorCode =
  | 'invalid-request'
  | 'invalid-setting'
  | 'not-enough-memory'
  | 'not-found'
  | 'not-downloaded'
  | 'cannot-read'
  | 'cannot-write'
  | 'in-use'
  | 'damaged'
  | 'mismatch'
  | 'unsupported'
  | 'not-finite'
  | 'hub'
  | 'invalid-input';

/** An error for those who are not in this process: an HTTP answer, a line of `--json`. */
export interface ErrorJson {
  readonly code: ErrorCode;
  readonly message: string;
  /** Of a SettingError. */
  readonly setting?: string;
  /** Of an InputError that is about a place. */
  readonly path?: string;
}

/** What an error carries beside its text. */
export interface ErrorFields extends ErrorOptions {
  readonly code?: ErrorCode | undefined;
}

/** What an InputError carries beside its text. */
export interface InputErrorFields extends ErrorFields {
  /** What it is about: a path, the address of a server, a model's name on the hub. */
  readonly path?: string | undefined;
}

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
  readonly code: ErrorCode;
  readonly #message: Message;

  constructor(message: Message, { code = 'invalid-request', ...options }: ErrorFields = {}) {
    super(shortened(said(message, inWords)), options);
    this.code = code;
    this.#message = message;
  }

  /** What is sent of it: `JSON.stringify(error)` is an answer that a form can be told of. */
  toJSON(): ErrorJson {
    const { message, code } = this;
    return { code, message };
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

  /** words: what messages call the setting, `guidance scale`; empty where `about` is a whole sentence that names it. */
  constructor(setting: string, words: string, about: Message, options: ErrorFields = {}) {
    const named = words === '' ? [] : [mention(setting, words), ' '];
    super([...named, ...[about].flat()], { code: 'invalid-setting', ...options });
    this.setting = setting;
    this.about = shortened(said(about, inWords));
  }

  override toJSON(): ErrorJson {
    return { ...super.toJSON(), setting: this.setting };
  }
}

/** The request is fine but something it needs is not (a file, a model, the disk). The command line exits with 1. */
export class InputError extends Error {
  override name = 'InputError';
  readonly code: ErrorCode;
  /** What it is about: a path, the address of a server, a model's name on the hub. Undefined where it has no place. */
  readonly path: string | undefined;

  constructor(message: string, { path, code = 'invalid-input', ...options }: InputErrorFields = {}) {
    super(shortened(message), options);
    this.path = path;
    this.code = code;
  }

  /** What is sent of it. */
  toJSON(): ErrorJson {
    const { message, code, path } = this;
    return { code, message, ...(path !== undefined && { path }) };
  }
}

/**
 * An InputError with the place that it is about before its message, unless that names the place; others as they are.
 * What already has a path, which then lies within the place, keeps it.
 */
export function withPlace(place: string, error: unknown): unknown {
  if (!(error instanceof InputError)) return error;
  const { message, code, path = place } = error;
  if (!message.includes(place)) return new InputError(`${place}: ${message}`, { cause: error, code, path });
  return error.path === undefined ? new InputError(message, { cause: error, code, path }) : error;
}

/** What `read` gives; an InputError of its is thrown `withPlace`. */
export function located<T>(place: string, read: () => T): T {
  try {
    return read();
  } catch (error) {
    throw withPlace(place, error);
  }
}
