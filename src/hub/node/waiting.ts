/** How long a server asks to be left alone, and how long it may say nothing. */
import { InputError } from '../../errors.ts';

/** What may pass: a network that is down, a server that is busy. The message says what it was. */
export class TemporaryError extends Error {
  override name = 'TemporaryError';
  /** How long the server asks to wait, in seconds. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: ErrorOptions & { retryAfter?: number | undefined } = {}) {
    super(message, options);
    this.retryAfter = options.retryAfter;
  }
}

/** Seconds. The hub's windows last five minutes; who asks for more is not waited for. */
const LONGEST_WAIT = 600;

/** Bytes per second below which a connection is as good as dead: at that rate a gigabyte takes twelve days. */
export const SLOWEST = 1000;

/**
 * The seconds that an answer asks to wait: `Retry-After`, a number or a date, or else the end of the window that the
 * hub tells of in `RateLimit: "api";r=0;t=55`. Undefined where it asks for nothing that can be understood.
 */
export function retryAfter(headers: Headers, now = Date.now()): number | undefined {
  const text = headers.get('Retry-After')?.trim();
  if (text !== undefined && /^\d+$/.test(text)) return Number(text);
  if (text !== undefined) {
    // By the server's own clock, where it tells the time.
    const [date, here] = [Date.parse(text), Date.parse(headers.get('Date') ?? '')];
    if (!Number.isNaN(date)) return Math.max(0, Math.ceil((date - (Number.isNaN(here) ? now : here)) / 1000));
  }
  const window = /;\s*r=0\s*;\s*t=(\d+)/.exec(headers.get('RateLimit') ?? '');
  return window ? Number(window[1]) : undefined;
}

/** Milliseconds before the next attempt: `delay`, or as long as the server asks. Throws InputError when that is too long. */
export function waitOf(error: TemporaryError, delay: number): number {
  const { retryAfter: asked = 0, message } = error;
  if (asked <= LONGEST_WAIT) return Math.max(delay, asked * 1000);
  throw new InputError(
    `${message} and asks to wait ${asked} seconds, more than the ${LONGEST_WAIT} that are waited for; try again then. What has arrived is kept`,
  );
}

/** Rejects with a TemporaryError that says `what` has not come within `seconds`. */
export async function within<T>(seconds: number, what: string, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const error = new TemporaryError(`${what} within ${seconds} s`);
    timer = setTimeout(() => reject(error), seconds * 1000);
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/**
 * Passes the pieces of a body on. Throws a TemporaryError when nothing comes for so many seconds, or less than a server
 * that is alive sends in that time; time that whoever reads takes for himself does not count.
 */
export async function* alive(
  body: AsyncIterator<Uint8Array>,
  seconds: number,
): AsyncGenerator<Uint8Array, void> {
  let [waited, arrived] = [0, 0];
  for (;;) {
    const since = performance.now();
    const { done, value } = await within(seconds, 'nothing more came', body.next());
    if (done) return;
    waited += (performance.now() - since) / 1000;
    arrived += value.length;
    if (waited >= seconds) {
      if (arrived < SLOWEST * waited) {
        throw new TemporaryError(`only ${arrived} bytes came in ${Math.round(waited)} s`);
      }
      [waited, arrived] = [0, 0];
    }
    yield value;
  }
}
