/** What the library calls a request's parts, as the options that they are on the command line. */
import { UsageError } from '../errors.ts';

const NAMES =
  /^(steps|strength|guidance scale|width|height|eta|tile size|prediction type|config|tokenizer|view|columns) (?=\S+:)/;

/**
 * The library names what was wrong as `steps 60: …`; on the command line that is `--steps 60: …`.
 * before: what stands before the value of an option.
 */
export function withFlagNames(error: unknown, before = (option: string): string => `--${option} `): unknown {
  if (!(error instanceof UsageError)) return error;
  const message = error.message
    .replace(NAMES, (name) => before(name.trim().replace(' ', '-')))
    .replace('name the teacher', 'name the teacher with --teacher')
    // The remedies where memory is short.
    .replace('a smaller width and height', 'a smaller --width and --height')
    .replace('a smaller batch size', 'a smaller --batch-size')
    .replace('a smaller tile size', 'a smaller --tile-size')
    .replace('low memory, which', '--low-memory, which');
  return new UsageError(message, { cause: error });
}
