/**
 * Errors whose text is meant for the person who asked: what was expected, what was found, what to do. Their messages
 * are short whatever they show.
 */
import { shortened } from './messages.ts';

/** The request itself is wrong (a flag, a value, a size). The command line exits with 2. */
export class UsageError extends Error {
  override name = 'UsageError';

  constructor(message: string, options?: ErrorOptions) {
    super(shortened(message), options);
  }
}

/**
 * One setting of a request that cannot be what it is. Its name stands apart from what is wrong with it, because each
 * surface calls it by a name of its own: `--guidance-scale`, a field of a form.
 */
export class SettingError extends UsageError {
  override name = 'SettingError';
  /** As in a request: `guidanceScale`. */
  readonly setting: string;
  /** What was found and what was expected: `-2: expected a number from 0`. */
  readonly about: string;

  /** words: what messages call the setting, `guidance scale`. */
  constructor(setting: string, words: string, about: string, options?: ErrorOptions) {
    super(`${words} ${about}`, options);
    this.setting = setting;
    this.about = shortened(about);
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
