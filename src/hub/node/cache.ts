/**
 * The cache that all of Hugging Face's tools share: `models--owner--name` with the contents of files under
 * `blobs/<etag>`, a folder of links to them for each commit under `snapshots/`, and under `refs/` the commit that a
 * branch or tag stood for when it was last asked.
 */
import { link, mkdir, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { dirname, join, relative } from 'node:path';
import { InputError } from '../../errors.ts';
import { type HubSettings, hubSettings, isModelId, requireModelId } from './settings.ts';

const COMMIT = /^[0-9a-f]{40}$/;

export interface CacheFolder {
  /** Where the contents of the file with this etag are, or will be. */
  blob(etag: string): string;
  snapshot(commit: string): string;
  /** The commit that the revision stood for; undefined when it was never asked for here. */
  commitOf(revision: string): Promise<string | undefined>;
  remember(revision: string, commit: string): Promise<void>;
  /** Makes `path` in the snapshot of `commit` stand for the blob. */
  place(commit: string, path: string, etag: string): Promise<void>;
}

/** The folder of a model in the cache; nothing is created. */
export function cacheFolder(cache: string, id: string): CacheFolder {
  const root = join(cache, `models--${id.replace('/', '--')}`);
  const blob = (etag: string) => join(root, 'blobs', etag);
  const snapshot = (commit: string) => join(root, 'snapshots', commit);
  return {
    blob,
    snapshot,
    async commitOf(revision) {
      if (COMMIT.test(revision)) return revision;
      const text = await readFile(join(root, 'refs', revision), 'utf8').catch(ignoreMissing);
      const commit = text?.trim();
      return commit !== undefined && COMMIT.test(commit) ? commit : undefined;
    },
    async remember(revision, commit) {
      if (revision === commit) return;
      const path = join(root, 'refs', revision);
      await mkdir(dirname(path), { recursive: true });
      const partial = `${path}.${process.pid}.partial`;
      await writeFile(partial, commit);
      await rename(partial, path);
    },
    async place(commit, path, etag) {
      const name = join(snapshot(commit), path);
      await mkdir(dirname(name), { recursive: true });
      await rm(name, { force: true });
      try {
        // Relative, so that the cache can be moved.
        await symlink(relative(dirname(name), blob(etag)), name);
      } catch (error) {
        const { code } = error as NodeJS.ErrnoException;
        if (code === 'EEXIST') return; // another process was quicker
        // Windows lets only some users make symbolic links.
        if (code !== 'EPERM') throw error;
        await link(blob(etag), name);
      }
    },
  };
}

/** Which version of a model is looked for, and where. */
export interface CachedModelOptions {
  /** A branch, a tag or a commit; `main` by default. */
  readonly revision?: string | undefined;
  readonly settings?: HubSettings;
}

/**
 * The folder of a model that was downloaded before, or undefined. Asks nothing of the hub. Throws UsageError for
 * what cannot be a model's name.
 */
export async function findCachedModel(
  id: string,
  { revision = 'main', settings = hubSettings() }: CachedModelOptions = {},
): Promise<string | undefined> {
  requireModelId(id, revision);
  const folder = cacheFolder(settings.cache, id);
  const commit = await folder.commitOf(revision);
  if (commit === undefined) return undefined;
  const found = await stat(folder.snapshot(commit)).catch(ignoreMissing);
  return found?.isDirectory() ? folder.snapshot(commit) : undefined;
}

/** As `findCachedModel`; throws InputError saying how to download the model when it is not there. */
export async function cachedModel(id: string, options: CachedModelOptions = {}): Promise<string> {
  const { revision = 'main', settings = hubSettings() } = options;
  const folder = await findCachedModel(id, options);
  if (folder !== undefined) return folder;
  const command = `lcm pull ${id}${revision === 'main' ? '' : ` --revision ${revision}`}`;
  throw new InputError(
    `${id} (${revision}) is not in the cache ${settings.cache}; download it with "${command}"${settings.offline ? ', without HF_HUB_OFFLINE' : ''}`,
    { path: id, code: 'not-downloaded' },
  );
}

/**
 * A file or folder by its path, or by its name on the hub, downloaded before. What exists comes first: a folder may be
 * called as a model is. Throws as `cachedModel`; a path to nothing is returned as it is.
 */
export async function localPath(name: string): Promise<string> {
  return (await isOnHub(name)) ? cachedModel(name) : name;
}

/** Whether the name can only be a model's on the hub, and that was not downloaded yet. */
export async function isOnHubAlone(name: string): Promise<boolean> {
  return (await isOnHub(name)) && (await findCachedModel(name)) === undefined;
}

async function isOnHub(name: string): Promise<boolean> {
  if (!isModelId(name) || name.endsWith('.safetensors')) return false;
  return stat(name).then(
    () => false,
    () => true,
  );
}

function ignoreMissing(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT' && error.code !== 'ENOTDIR') throw error;
}
