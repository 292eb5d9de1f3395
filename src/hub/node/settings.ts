/** Where the hub is, who asks, and where files are kept: the environment variables of huggingface_hub. */
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { InputError, UsageError } from '../../errors.ts';

export interface HubSettings {
  /** Without a slash at its end. */
  readonly endpoint: string;
  readonly token: string | undefined;
  /** The folder with `models--owner--name` in it. */
  readonly cache: string;
  /** Nothing is asked of the hub. */
  readonly offline: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** HF_ENDPOINT, HF_TOKEN, HF_HUB_CACHE (or HF_HOME, XDG_CACHE_HOME) and HF_HUB_OFFLINE. An empty one is as good as none. */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const get = (name: string) => environment[name]?.trim() || undefined;
  const home = get('HF_HOME') ?? join(get('XDG_CACHE_HOME') ?? join(homedir(), '.cache'), 'huggingface');
  const cache = get('HF_HUB_CACHE') ?? get('HUGGINGFACE_HUB_CACHE') ?? join(home, 'hub');
  const endpoint = (get('HF_ENDPOINT') ?? 'https://huggingface.co').replace(/\/+$/, '');
  if (!/^https?:$/.test(URL.canParse(endpoint) ? new URL(endpoint).protocol : '')) {
    throw new InputError(`HF_ENDPOINT is ${endpoint}; expected an address such as https://huggingface.co`);
  }
  return {
    endpoint,
    token: get('HF_TOKEN'),
    cache: resolve(cache.replace(/^~(?=\/|$)/, homedir())),
    offline: /^(1|on|yes|true)$/i.test(get('HF_HUB_OFFLINE') ?? ''),
  };
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
