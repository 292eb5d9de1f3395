/** The `lcm` command as people start it. */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { fileURLToPath } from 'node:url';

const LAUNCHER = fileURLToPath(new URL('../../bin/lcm.js', import.meta.url));

/**
 * A new process, whose output can be read. A shell goes by the first line of the launcher, which sets variables for the
 * C library; `plain` leaves them out, and Windows knows no such lines.
 */
export function startCommand(
  args: readonly string[],
  { plain = process.platform === 'win32' }: { readonly plain?: boolean } = {},
): ChildProcessByStdio<null, Readable, null> {
  const [command, first] = plain ? [process.execPath, [LAUNCHER]] : [LAUNCHER, []];
  return spawn(command, [...first, ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
}
