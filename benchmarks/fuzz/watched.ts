/** A child process that uses inputs, and a watch that ends it when one takes too long or too much. */
import { type ChildProcess, fork } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { type Attempt, MOST_MEMORY, MOST_SECONDS } from './attempt.ts';
import type { Order, Report } from './child.ts';

/** Milliseconds between two looks. */
const OFTEN = 250;
/** Milliseconds after which an input hangs that uses no processor at all. */
const LONGEST = 120_000;

export class WatchedProcess {
  #child: ChildProcess | undefined;

  async attempt(order: Order): Promise<Attempt> {
    this.#child ??= start();
    const child = this.#child;
    const begun = { time: performance.now(), ...usage(child.pid!) };
    return new Promise((resolve) => {
      const end = (attempt: Attempt) => {
        clearInterval(timer);
        child.removeAllListeners('message');
        child.removeAllListeners('exit');
        resolve(attempt);
      };
      const lost = (fault: string) => {
        this.#child = undefined;
        const { seconds, memory } = usage(child.pid!);
        child.kill('SIGKILL');
        end({ outcome: 'refused', fault, seconds: seconds - begun.seconds, memory: memory - begun.memory });
      };
      const timer = setInterval(() => {
        const { seconds, memory } = usage(child.pid!);
        const waited = performance.now() - begun.time;
        // Twice as much as is wrong: what is wrong and comes to an end is measured by the child itself.
        if (seconds - begun.seconds > 2 * MOST_SECONDS)
          lost(`hangs: ${(seconds - begun.seconds).toFixed(1)} s`);
        else if (memory - begun.memory > 2 * MOST_MEMORY) lost('takes more than 2 GiB');
        else if (waited > LONGEST) lost(`hangs: ${(waited / 1000).toFixed(0)} s of waiting`);
      }, OFTEN);
      child.on('message', (report: Report) => {
        if (report.type === 'done') end(report.attempt);
      });
      child.on('exit', (code, signal) => lost(`the process ended with ${signal ?? code}`));
      child.send(order);
    });
  }

  stop(): void {
    this.#child?.removeAllListeners('exit');
    this.#child?.kill('SIGKILL');
    this.#child = undefined;
  }
}

function start(): ChildProcess {
  // What commands print is not looked at here.
  const stdio = ['ignore', 'ignore', 'ignore', 'ipc'] as const;
  return fork(fileURLToPath(new URL('./child.js', import.meta.url)), { stdio: [...stdio] });
}

/** Of a process: seconds of processor time, bytes of resident memory. Zero where the system does not say. */
function usage(pid: number): { seconds: number; memory: number } {
  if (process.platform !== 'linux') return { seconds: 0, memory: 0 };
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ');
    return { seconds: (Number(fields[11]) + Number(fields[12])) / 100, memory: 4096 * Number(fields[21]) };
  } catch {
    // It has ended.
    return { seconds: 0, memory: 0 };
  }
}
