/**
 * OpenVINO reads weights beside a model that is given in memory only from below the working directory. Under Linux a
 * thread can have one of its own: from the root all files are below.
 */
import { loadKoffi } from './koffi.ts';

/** From linux/sched.h: what belongs to the file system is no longer shared with the other threads. */
const CLONE_FS = 0x200;

/** Makes the root this thread's working directory. False where that cannot be done, and nothing is changed. */
export function enterRoot(): boolean {
  if (process.platform !== 'linux') return false;
  const c = loadKoffi().load(null);
  // Containers may forbid the first.
  return c.func('int unshare(int flags)')(CLONE_FS) === 0 && c.func('int chdir(const char *path)')('/') === 0;
}
