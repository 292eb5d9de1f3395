/** What the system says when something cannot be written, in words. */
import { InputError } from '../../errors.ts';

const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: 'the disk is full; free some space or choose another folder',
  EDQUOT: 'your disk quota is used up; free some space or choose another folder',
  EFBIG:
    'the file would be larger than this system or its limits allow; raise the limit or choose another folder',
  EIO: 'the disk reports an error; check it, or choose another folder',
  EACCES: 'you may not write there; choose another folder or change its permissions',
  EPERM: 'you may not write there; choose another folder or change its permissions',
  EROFS: 'the file system is read-only; choose another folder',
  ENOTDIR: 'a part of the path is a file, not a folder; choose another path',
  EISDIR: 'there is a folder of that name; choose another name',
  EEXIST: 'there is something of that name already; choose another name or remove it',
  ENOTEMPTY: 'there is a folder of that name already; choose another name or remove it',
  ENAMETOOLONG: 'its name is longer than names of files can be; choose a shorter one',
};

/**
 * What the system says of writing `path`, or a part of it, as an InputError that names it: nobody knows the names that
 * are used on the way. Other errors as they are.
 */
export function unwritable(path: string, error: unknown): unknown {
  const { code } = ((error instanceof InputError && error.cause) || error) as { code?: string };
  const reason = REASONS[code ?? ''];
  return reason === undefined
    ? error
    : new InputError(`cannot write ${path}: ${reason}`, { cause: error, path, code: 'cannot-write' });
}
