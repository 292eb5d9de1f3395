/** What `lcm info` says of every kind of file: size, checksums, and the texts of its header. */
import { stat } from 'node:fs/promises';
import { relative } from 'node:path';
import { formatBytes } from '../../format-bytes.ts';
import { listed } from '../../messages.ts';
import { hashFile } from '../../weights/node/file-hash.ts';
import type { Reporter } from '../progress.ts';
import { line } from './numbers.ts';

export interface FileFacts {
  readonly path: string;
  readonly bytes: number;
  /** In hexadecimal digits; of a checkpoint the first 10 are Automatic1111's hash. */
  readonly sha256: string;
}

/** Reads all of the files, which may be gigabytes. */
export async function filesFacts(
  paths: readonly string[],
  { reporter, signal }: { reporter: Reporter; signal: AbortSignal },
): Promise<FileFacts[]> {
  const facts: FileFacts[] = [];
  for (const path of paths) {
    reporter.progress({
      label: 'hashing',
      done: facts.length,
      total: paths.length,
      unit: 'file',
      detail: path,
    });
    facts.push({ path, bytes: (await stat(path)).size, sha256: await hashFile(path, { signal }) });
  }
  reporter.progress({ label: 'hashing', done: paths.length, total: paths.length, unit: 'file' });
  return facts;
}

export function printFiles(files: readonly FileFacts[], reporter: Reporter): void {
  const total = files.reduce((sum, { bytes }) => sum + bytes, 0);
  reporter.print(
    line('on disk', `${formatBytes(total)} in ${files.length} file${files.length === 1 ? '' : 's'}`),
  );
  for (const { path, sha256 } of files) {
    const near = relative('.', path);
    reporter.print(line('SHA-256', `${sha256}  ${near.startsWith('..') ? path : near}`));
  }
}

/** Tensors of types that are not read here: nothing that is needed may be among them. */
export function printForeign(names: readonly string[], reporter: Reporter): void {
  if (names.length > 0) reporter.print(line('not read', listed(names)));
}

/** Characters of a text that are shown; training programs write whole dictionaries. */
const SHOWN = 100;

/** The free-form texts of a safetensors header. */
export function printMetadata(metadata: Readonly<Record<string, string>>, reporter: Reporter): void {
  for (const [key, text] of Object.entries(metadata)) {
    const flat = text.replace(/\s+/g, ' ');
    const shown = flat.length > SHOWN ? `${flat.slice(0, SHOWN)} … (${text.length} characters)` : flat;
    reporter.print(line('metadata', `${key}: ${shown}`));
  }
}
