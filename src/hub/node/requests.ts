/** Requests to the hub: with its token, within limits of time, repeated when they fail for a while. */
import { setTimeout as sleep } from 'node:timers/promises';
import { InputError } from '../../errors.ts';
import type { HubSettings } from './settings.ts';
import { describeToken, renewal } from './token.ts';
import { alive, retryAfter, TemporaryError, waitOf, within } from './waiting.ts';

export interface HubRequests {
  readonly settings: HubSettings;
  /** What `settings.token` stands for. */
  readonly token: string | undefined;
  /** For messages. */
  readonly id: string;
  readonly revision: string;
  readonly signal?: AbortSignal | undefined;
  /** How long to wait before each further attempt, in milliseconds. */
  readonly retryDelays: readonly number[];
  /** Hears of each wait before it begins. */
  readonly onWait?: ((wait: HubWait) => void) | undefined;
}

/** A pause before the next attempt. */
export interface HubWait {
  readonly seconds: number;
  /** `the hub asks for it (429)` */
  readonly reason: string;
}

export interface HubRequest {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Seconds without a sign of the server. */
  readonly timeout: number;
}

export interface HubAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** The content in pieces, decompressed. */
  readonly body: AsyncIterable<Uint8Array>;
}

/**
 * Asks once, and gives the answer to `use`; the connection is closed when that is done. Throws TemporaryError for what
 * may pass, InputError for other answers that are no success, and the signal's reason when it aborts.
 */
export async function request<T>(
  hub: HubRequests,
  { url, headers: given, timeout }: HubRequest,
  use: (answer: HubAnswer) => Promise<T>,
): Promise<T> {
  const { settings, token, signal: cancelled } = hub;
  const headers = new Headers(given);
  // A redirect to another host drops this header, and so it must: the token is for the hub alone.
  if (token !== undefined && new URL(url).origin === new URL(settings.endpoint).origin) {
    headers.set('Authorization', `Bearer ${token}`);
  }
  const ending = new AbortController();
  const signal = cancelled ? AbortSignal.any([cancelled, ending.signal]) : ending.signal;
  try {
    const response = await within(timeout, 'no answer came', fetch(url, { headers, signal }));
    if (!response.ok) throw refusal(hub, response);
    const body = alive(piecesOf(response), timeout);
    return await use({ status: response.status, headers: response.headers, body });
  } catch (error) {
    cancelled?.throwIfAborted();
    throw isNetworkError(error) ? new TemporaryError(whatHappened(error), { cause: error }) : error;
  } finally {
    ending.abort();
  }
}

/**
 * Repeats `work` as long as it fails for reasons that may pass; `progressed` says whether it got on since it was
 * last asked, and then the attempts count from the beginning. Throws InputError when it does not.
 */
export async function retrying<T>(
  { retryDelays, signal, settings, onWait }: HubRequests,
  work: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof TemporaryError)) throw error;
      if (progressed()) attempt = 0;
      const delay = retryDelays[attempt];
      if (delay === undefined) {
        throw new InputError(
          `${settings.endpoint}: ${error.message}. What has arrived is kept; the same command goes on from there`,
          { cause: error, code: 'hub' },
        );
      }
      const wait = waitOf(error, delay);
      const asked = error.retryAfter !== undefined && error.retryAfter * 1000 >= delay;
      onWait?.({
        seconds: wait / 1000,
        reason: asked ? `the hub asks for it: ${error.message}` : error.message,
      });
      await sleep(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

async function* piecesOf({ body }: Response): AsyncGenerator<Uint8Array, void> {
  if (body) yield* body;
}

function refusal(hub: HubRequests, { status, headers, url }: Response): Error {
  const { id, revision } = hub;
  const { endpoint } = hub.settings;
  const token = hub.token === undefined ? undefined : hub.settings.token;
  const code = headers.get('X-Error-Code');
  if (status === 429 || status >= 500) {
    return new TemporaryError(
      status === 429 ? 'it has had too many requests (429)' : `it answers with an error (${status})`,
      { retryAfter: retryAfter(headers) },
    );
  }
  if (token && headers.get('X-Error-Message')?.startsWith('Invalid credentials')) {
    return new InputError(
      `${endpoint} does not know ${describeToken(token)} (${status}); ${renewal(token)}`,
      { code: 'hub' },
    );
  }
  if (code === 'GatedRepo') {
    return new InputError(
      `${id} is gated: accept its terms at ${endpoint}/${id}, then set HF_TOKEN to a token of that account, or log in with "hf auth login"`,
      { path: id, code: 'hub' },
    );
  }
  if (code === 'RevisionNotFound')
    return new InputError(`${id} has no revision ${revision}`, { path: id, code: 'not-found' });
  if (code === 'EntryNotFound')
    return new InputError(`${id} (${revision}) has no file ${new URL(url).pathname.slice(0, 200)}`, {
      path: id,
      code: 'not-found',
    });
  const mayNot = token && `${describeToken(token)} may not read it`;
  const login = 'set HF_TOKEN to a token that may read it, or log in with "hf auth login"';
  if (status === 401 || status === 404) {
    const access = mayNot ? `or ${mayNot}` : `if it is private, ${login}`;
    return new InputError(`${endpoint} has no model ${id} (${status}): check the name; ${access}`, {
      code: 'not-found',
    });
  }
  if (status === 403) {
    return new InputError(`${id}: ${mayNot ?? `not everybody may read it; ${login}`} (403)`, {
      path: id,
      code: 'hub',
    });
  }
  return new InputError(`${endpoint} refuses the request for ${id} (${status})`, { code: 'hub' });
}

/** undici's errors: `fetch failed` and `terminated`, with what the system said as their cause. */
function isNetworkError(error: unknown): error is TypeError & { cause: NodeJS.ErrnoException } {
  return error instanceof TypeError && error.cause instanceof Error;
}

function whatHappened({ message, cause }: TypeError & { cause: NodeJS.ErrnoException }): string {
  if (message === 'terminated') return 'the connection was cut';
  return `cannot be reached (${cause.code ?? cause.message})`;
}
