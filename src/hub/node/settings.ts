/** Where the hub is, who asks, and where files are kept: the environment variables of huggingface_hub. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { InputError, UsageError } from '../../errors.ts';

/** Where the hub and its cache are, and who asks. */
export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  /** Who asks; undefined: anybody. */
  readonly token: HubToken | undefined;
  /** The folder with `models--owner--name` in it. */
  readonly cache: string;
  /** Nothing is asked of the hub. */
  readonly offline: boolean;
  readonly timeouts: HubTimeouts;
}

/** A token, or the file that `hf auth login` writes it to, which need not be there. */
export type HubToken =
  | { readonly kind: 'environment'; readonly variable: string; readonly value: string }
  | { readonly kind: 'file'; readonly path: string };

/** In seconds: after so long without a sign of the server a request is given up and made again. */
export interface HubTimeouts {
  /** Of what the hub says about a model. */
  readonly answer: number;
  /** Of the content of files. */
  readonly download: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** huggingface_hub waits 10 seconds; busy mirrors take longer to begin with a large file. */
const TIMEOUT = 30;

/**
 * Reads HF_ENDPOINT, HF_TOKEN (or HUGGING_FACE_HUB_TOKEN, or the file HF_TOKEN_PATH), HF_HUB_DISABLE_IMPLICIT_TOKEN,
 * HF_HUB_CACHE, HF_HOME, XDG_CACHE_HOME, HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE), HF_HUB_ETAG_TIMEOUT and
 * HF_HUB_DOWNLOAD_TIMEOUT. An empty one is as good as none. Throws InputError for a value that cannot be.
 */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const get = (name: string) => environment[name]?.trim() || undefined;
  const isOn = (name: string) => /^(1|on|yes|true)$/i.test(get(name) ?? '');
  const path = (text: string) => resolve(expandPath(text, environment));
  const home = get('HF_HOME') ?? join(get('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface');
  const cache = get('HF_HUB_CACHE') ?? get('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub');
  const endpoint = (get('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, '');
  const { protocol, username, password } = URL.canParse(endpoint) ? new URL(endpoint) : { protocol: '' };
  if (!/^https?:$/.test(protocol)) {
    throw new InputError(`HF_ENDPOINT is ${endpoint}; expected an address such as https://huggingface.co`);
  }
  if (username || password) {
    throw new InputError(
      'HF_ENDPOINT holds a user or a password; expected an address alone, and HF_TOKEN for the rest',
    );
  }
  const token = (): HubToken | undefined => {
    // No token is sent, not even one in HF_TOKEN, as huggingface_hub reads it: implicit is what no call names.
    if (isOn('HF_HUB_DISABLE_IMPLICIT_TOKEN')) return undefined;
    for (const variable of ['HF_TOKEN', 'HUGGING_FACE_HUB_TOKEN']) {
      const value = get(variable);
      if (value !== undefined) return { kind: 'environment', variable, value };
    }
    return { kind: 'file', path: path(get('HF_TOKEN_PATH') ?? join(home, 'token')) };
  };
  const seconds = (name: string): number => {
    const text = get(name);
    // As in huggingface_hub, 0 stands for the default.
    if (text === undefined || text === '0') return TIMEOUT;
    if (/^\d{1,6}$/.test(text)) return Number(text);
    throw new InputError(`${name} is ${text}; expected a whole number of seconds`);
  };
  return {
    endpoint,
    token: token(),
    cache: path(cache),
    offline: get('HF_HUB_OFFLINE') === undefined ? isOn('TRANSFORMERS_OFFLINE') : isOn('HF_HUB_OFFLINE'),
    timeouts: { answer: seconds('HF_HUB_ETAG_TIMEOUT'), download: seconds('HF_HUB_DOWNLOAD_TIMEOUT') },
  };
}

/** `~` at the beginning, and `$NAME` and `${NAME}` of variables that there are, as Python's os.path has it. */
function expandPath(text: string, environment: Environment): string {
  const expanded = text.replace(/^~(?=[/\\]|$)/, () => homedir());
  return expanded.replace(/\$(?:(\w+)|\{(\w+)\})/g, (whole, plain: string, braced: string) => {
    return environment[plain ?? braced] ?? whole;
  });
}

const PART = '[A-Za-z0-9](?:[\\w.-]*[A-Za-z0-9_])?';
const MODEL_ID = new RegExp(`^${PART}/${PART}$`);

/** Whether the text can be the name of a model on the hub: `owner/name`. */
export function isModelId(text: string): boolean {
  return MODEL_ID.test(text) && !text.includes('--') && !text.includes('..') && text.length <= 96;
}

/** Throws UsageError unless both can be what they say; they become parts of paths and addresses. */
export function requireModelId(id: string, revision: string): void {
  if (!isModelId(id)) {
    throw new UsageError(
      `${id} is not the name of a model on the hub; expected owner/name, e.g. SimianLuo/LCM_Dreamshaper_v7`,
    );
  }
  if (!/^[\w][\w./-]*$/.test(revision) || revision.includes('..') || revision.endsWith('/')) {
    throw new UsageError(`revision ${revision}: expected a branch, a tag or a commit`);
  }
}
