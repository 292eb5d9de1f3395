/**
 * Ctrl-C, a request to end, a reader that went away, and an output that cannot be written: all end the work in hand
 * through one AbortSignal.
 */
import { constants } from 'node:os';

export interface Interruption {
  readonly signal: AbortSignal;
  /** The exit code that says what ended the work; undefined while nothing did. */
  exitCode(): number | undefined;
  /** To be called when the command has ended: what still computes for nobody then has half a second left. */
  leave(): void;
}

/** Milliseconds until a process that was asked to end, and has cleaned up, ends whatever still computes in it. */
const GRACE = 500;

/**
 * Milliseconds in which a further Ctrl-C is the same one: supervisors send it to a process and to its group, and people's
 * fingers slip.
 */
const SAME = 1000;

/** Listens from now on. A second Ctrl-C does not wait for the work to stop. */
export function interruption(): Interruption {
  const controller = new AbortController();
  let code: number | undefined;
  let endedAt = 0;
  const end = (exitCode: number, said: string | undefined, stream: NodeJS.WriteStream = process.stderr) => {
    if (code !== undefined) return;
    code = exitCode;
    endedAt = performance.now();
    if (said) stream.write(`${stream.isTTY ? '\r\x1b[K' : ''}lcm: ${said}\n`);
    controller.abort();
  };
  process.on('SIGINT', () => {
    if (code === undefined) end(130, 'cancelled');
    else if (performance.now() - endedAt > SAME) dieOf(130);
  });
  process.on('SIGTERM', () => end(143, 'ended by SIGTERM'));
  const fail = (name: string, other: NodeJS.WriteStream) => (error: NodeJS.ErrnoException) => {
    // As `head` does it: who no longer reads, wants no more. 141 is 128 + SIGPIPE.
    if (error.code === 'EPIPE') end(141, undefined);
    else end(1, `${name} cannot be written (${error.message})`, other);
    // This holds also where it was the last that the command had to say.
    process.exitCode = code;
  };
  process.stdout.on('error', fail('standard output', process.stderr));
  process.stderr.on('error', fail('standard error', process.stdout));
  return {
    signal: controller.signal,
    exitCode: () => code,
    leave() {
      // The timer does not keep the process alive, and comes too late for one that ends by itself.
      setTimeout(() => dieOf(code), GRACE).unref();
    },
  };
}

/**
 * Ends the process as the signal behind the exit code does when nobody listens, which is how a shell knows that code.
 * Anything else waits for ONNX Runtime, whose runs cannot be broken off, to finish what it is at.
 */
function dieOf(code: number | undefined): void {
  const entry = Object.entries(constants.signals).find(([, number]) => code === 128 + number);
  if (entry === undefined) return;
  const name = entry[0] as NodeJS.Signals;
  process.removeAllListeners(name);
  process.kill(process.pid, name);
}
