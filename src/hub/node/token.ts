/** The token with which the hub is asked. */
import { InputError } from '../../errors.ts';
import { readTextIfThere } from '../../files/node/text-file.ts';
import type { HubToken } from './settings.ts';

/** A token has some 40 characters, one for a few hours about a thousand. Other files are taken for a mistake. */
const LIMIT = 16_384;

/**
 * The token itself, undefined where there is none. Throws InputError for a file that is not a small regular one, and
 * for what cannot be a token; what it holds is in no message.
 */
export async function readToken(token: HubToken | undefined): Promise<string | undefined> {
  if (token === undefined) return undefined;
  const text = token.kind === 'file' ? await readTextIfThere(token.path, LIMIT) : token.value;
  // Lines end where an editor wanted them to.
  const value = text?.replace(/[\r\n]/g, '').trim();
  if (!value) return undefined;
  if (/^[\x21-\x7e]+$/.test(value) && value.length <= LIMIT) return value;
  throw new InputError(
    `${describeToken(token)} is none: a token has neither spaces nor letters beyond ASCII; ${renewal(token)}`,
  );
}

/** `the token in HF_TOKEN`. */
export function describeToken(token: HubToken): string {
  return token.kind === 'file' ? `the token in ${token.path}` : `the token in ${token.variable}`;
}

/** What to do with a token that is no good. */
export function renewal(token: HubToken): string {
  return token.kind === 'file'
    ? 'log in again with "hf auth login", or set HF_TOKEN'
    : `set ${token.variable} to another one, or to nothing`;
}
