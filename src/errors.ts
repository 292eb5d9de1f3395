/** Errors whose text is meant for the person who asked: what was expected, what was found, what to do. */

/** The request itself is wrong (a flag, a value, a size). The command line exits with 2. */
export class UsageError extends Error {
  override name = 'UsageError';
}

/** The request is fine but something it needs is not (a file, a model, the disk). The command line exits with 1. */
export class InputError extends Error {
  override name = 'InputError';
}
