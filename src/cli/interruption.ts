/** Ctrl-C, a request to end, and a reader that went away: all end the work in hand through one AbortSignal. */

export interface Interruption {
  readonly signal: AbortSignal;
  /** The exit code that says what ended the work; undefined while nothing did. */
  exitCode(): number | undefined;
}

/** Listens from now on. A second Ctrl-C does not wait for the work to stop. */
export function interruption(): Interruption {
  const controller = new AbortController();
  let code: number | undefined;
  const end = (exitCode: number, said: string | undefined) => {
    if (code !== undefined) return;
    code = exitCode;
    if (said) process.stderr.write(`${process.stderr.isTTY ? '\r\x1b[K' : ''}lcm: ${said}\n`);
    controller.abort();
  };
  process.on('SIGINT', () => {
    if (code !== undefined) process.exit(130);
    end(130, 'cancelled');
  });
  process.on('SIGTERM', () => end(143, 'ended by SIGTERM'));
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // As `head` does it: who no longer reads, wants no more. 141 is 128 + SIGPIPE.
      if (error.code === 'EPIPE') end(141, undefined);
      else throw error;
    });
  }
  return { signal: controller.signal, exitCode: () => code };
}
