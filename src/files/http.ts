/** A folder on a server, read by HTTP: whole small files, and ranges of large ones. */
import { InputError } from '../errors.ts';
import { type ByteSource, type Files, requireRange, tooLarge } from './files.ts';

/** How files are asked for. */
export interface HttpFilesOptions {
  /** Names by folder (`''` for the top) where they are known: HTTP has no way to list a folder. */
  readonly names?: Readonly<Record<string, readonly string[]>>;
  readonly signal?: AbortSignal | undefined;
  /** By default the platform's. */
  readonly fetch?: typeof fetch;
}

/** address: of the folder. What a server answers with 404 is not there; any other failure is an InputError. */
export function httpFiles(
  address: string,
  { names = {}, signal, fetch: ask = fetch }: HttpFilesOptions = {},
): Files {
  const location = address.replace(/\/+$/, '');
  const addressOf = (path: string) => `${location}/${path.split('/').map(encodeURIComponent).join('/')}`;
  const request = async (path: string, init: RequestInit): Promise<Response | undefined> => {
    const response = await ask(addressOf(path), { ...init, signal: signal ?? null }).catch(
      (cause: unknown) => {
        signal?.throwIfAborted();
        throw new InputError(`cannot read ${location}/${path}: the server cannot be reached`, {
          cause,
          path: `${location}/${path}`,
          code: 'cannot-read',
        });
      },
    );
    if (response.ok) return response;
    await response.body?.cancel();
    if (response.status === 404) return undefined;
    throw new InputError(`cannot read ${location}/${path}: the server answers ${response.status}`, {
      path: `${location}/${path}`,
      code: 'cannot-read',
    });
  };
  return {
    location,
    list: async (folder = '') => names[folder] ?? [],
    async bytes(path, limit = Number.POSITIVE_INFINITY) {
      const response = await request(path, {});
      return response && (await bodyOf(response, `${location}/${path}`, limit));
    },
    async open(path) {
      const response = await request(path, { method: 'HEAD' });
      if (!response) return undefined;
      const name = `${location}/${path}`;
      const size = Number(response.headers.get('content-length') ?? Number.NaN);
      if (!Number.isSafeInteger(size)) {
        throw new InputError(`cannot read ${name}: the server does not say how long it is`, {
          path: name,
          code: 'cannot-read',
        });
      }
      return rangesOf(name, size, (headers) => request(path, { headers }));
    },
  };
}

function rangesOf(
  name: string,
  size: number,
  request: (headers: Record<string, string>) => Promise<Response | undefined>,
): ByteSource {
  return {
    name,
    size,
    async read(offset, length) {
      requireRange({ name, size }, offset, length);
      if (length === 0) return new Uint8Array();
      const response = await request({ range: `bytes=${offset}-${offset + length - 1}` });
      if (!response) throw new InputError(`${name} is no longer there`, { path: name, code: 'not-found' });
      // A server that knows no ranges sends the whole file.
      if (response.status !== 206) return (await bodyOf(response, name, size)).slice(offset, offset + length);
      const bytes = await bodyOf(response, name, length);
      if (bytes.byteLength === length) return bytes;
      throw new InputError(`${name}: the server sent ${bytes.byteLength} of ${length} bytes`, {
        path: name,
        code: 'damaged',
      });
    },
  };
}

/** The body, of at most `limit` bytes whatever the server says of its length. */
async function bodyOf(response: Response, name: string, limit: number): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  const reader = response.body?.getReader();
  for (;;) {
    const next = await reader?.read();
    if (!next || next.done) break;
    length += next.value.byteLength;
    if (length > limit) {
      await reader!.cancel();
      throw tooLarge(name, limit);
    }
    pieces.push(next.value);
  }
  const whole = new Uint8Array(length);
  let at = 0;
  for (const piece of pieces) {
    whole.set(piece, at);
    at += piece.byteLength;
  }
  return whole;
}
