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

/** The request is fine but something it needs is not (a file, a model, the disk). The command line exits with 1. */
export class InputError extends Error {
  override name = 'InputError';

  constructor(message: string, options?: ErrorOptions) {
    super(shortened(message), options);
  }
}
