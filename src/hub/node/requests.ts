/** Requests to the hub: with its token, repeated when they fail for a while, and with errors that say what to do. */
import { setTimeout as sleep } from 'node:timers/promises';
import { InputError } from '../../errors.ts';
import type { HubSettings } from './settings.ts';

export interface HubRequests {
  readonly settings: HubSettings;
  /** For messages. */
  readonly id: string;
  readonly revision: string;
  readonly signal?: AbortSignal | undefined;
  /** How long to wait before each further attempt, in milliseconds. */
  readonly retryDelays: readonly number[];
}

/** What may pass: a network that is down, a server that is busy. The message says what it was. */
class TemporaryError extends Error {
  override name = 'TemporaryError';
}

/** As `fetch`; answers that are no success are thrown. Throws InputError, and the signal's reason when it aborts. */
export function hubFetch(hub: HubRequests): typeof fetch {
  return (input, init) => retrying(hub, () => request(hub, input, init));
}

/**
 * Repeats `work` as long as it fails for reasons that may pass; `progressed` says whether it got on since it was
 * last asked, and then the attempts count from the beginning.
 */
export async function retrying<T>(
  { retryDelays, signal, settings }: HubRequests,
  work: () => Promise<T>,
  progressed: () => boolean = () => false,
): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof TemporaryError)) throw error;
      if (progressed()) attempt = 0;
      const delay = retryDelays[attempt];
      if (delay === undefined) {
        throw new InputError(
          `${settings.endpoint}: ${error.message}. What has arrived is kept; the same command goes on from there`,
          { cause: error },
        );
      }
      await sleep(delay, undefined, { signal });
    }
  }
}

/** The bytes of an answer. A connection that ends before they do is a reason that may pass. */
export async function* bodyOf(response: Response): AsyncGenerator<Uint8Array> {
  if (!response.body) return;
  try {
    for await (const chunk of response.body) yield chunk;
  } catch (error) {
    if (isNetworkError(error)) throw new TemporaryError('the connection was cut', { cause: error });
    throw error;
  }
}

async function request(
  hub: HubRequests,
  input: Parameters<typeof fetch>[0],
  init?: RequestInit,
): Promise<Response> {
  const { settings, signal } = hub;
  const url = new URL(input instanceof Request ? input.url : input);
  const headers = new Headers(init?.headers);
  // A redirect to another host drops this header, and so it must: the token is for the hub alone.
  if (settings.token !== undefined && url.origin === new URL(settings.endpoint).origin) {
    headers.set('Authorization', `Bearer ${settings.token}`);
  }
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers, signal });
  } catch (error) {
    if (isNetworkError(error))
      throw new TemporaryError(`cannot be reached (${reasonOf(error)})`, { cause: error });
    throw error;
  }
  if (response.ok) return response;
  await response.body?.cancel();
  throw refusal(hub, response);
}

function refusal({ settings, id, revision }: HubRequests, response: Response): Error {
  const { status } = response;
  const code = response.headers.get('X-Error-Code');
  if (status === 429 || status >= 500) {
    return new TemporaryError(
      status === 429 ? 'it has had too many requests (429)' : `it answers with an error (${status})`,
    );
  }
  if (code === 'GatedRepo') {
    return new InputError(
      `${id} is gated: accept its terms at ${settings.endpoint}/${id}, then set HF_TOKEN to a token of that account`,
    );
  }
  if (code === 'RevisionNotFound') return new InputError(`${id} has no revision ${revision}`);
  if (code === 'EntryNotFound')
    return new InputError(`${id} (${revision}) has no file ${new URL(response.url).pathname}`);
  if (status === 401 || status === 404) {
    const access =
      settings.token === undefined
        ? 'if it is private, set HF_TOKEN to a token that may read it'
        : 'or the token in HF_TOKEN may not read it';
    return new InputError(`${settings.endpoint} has no model ${id} (${status}): check the name; ${access}`);
  }
  if (status === 403) {
    return new InputError(`${id}: the token in HF_TOKEN may not read it (403)`);
  }
  return new InputError(`${settings.endpoint} refuses the request for ${id} (${status})`);
}

/** undici's errors: `fetch failed` and `terminated`, with what the system said as their cause. */
function isNetworkError(error: unknown): boolean {
  return error instanceof TypeError && error.cause instanceof Error;
}

function reasonOf(error: unknown): string {
  const cause = (error as Error).cause as NodeJS.ErrnoException;
  return cause.code ?? cause.message;
}
