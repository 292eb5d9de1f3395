/** Work that may take the whole process down, as a driver can, in a process of its own. */
import { fork } from 'node:child_process';

export interface ChildOptions {
  readonly signal?: AbortSignal;
  /** Milliseconds after which nobody waits any longer. */
  readonly patience?: number;
}

/**
 * Runs a module in a new process and resolves to the first message that it sends. Rejects, with what it said last on
 * its standard error, when it ends without one.
 */
export function askChild(
  module: string,
  args: readonly string[],
  { signal, patience = 60_000 }: ChildOptions = {},
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const child = fork(module, args, {
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      execArgv: [],
      serialization: 'advanced', // JSON has no NaN
      signal,
      killSignal: 'SIGKILL',
    });
    const timer = setTimeout(() => {
      reject(new Error(`it did not answer within ${patience / 1000} s`));
      child.kill('SIGKILL');
    }, patience);
    let said = '';
    child.stderr!.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4096);
    });
    child.on('message', resolve);
    child.on('error', reject);
    child.on('close', (code, by) => {
      clearTimeout(timer);
      const last = said.trim().split('\n').at(-1);
      reject(new Error(`its process ended with ${by ?? `code ${code}`}${last ? `: ${last}` : ''}`));
    });
  });
}
