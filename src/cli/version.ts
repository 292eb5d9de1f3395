/** What package.json, which lies beside dist/ (or src/), says of versions; src/version.ts says the package's own too. */
import { readFile } from 'node:fs/promises';

interface Manifest {
  readonly version: string;
  readonly engines: { readonly node: string };
}

export async function version(): Promise<string> {
  return (await manifest()).version;
}

/** The oldest Node that is supported: `20.19`. */
export async function requiredNode(): Promise<string> {
  return (await manifest()).engines.node.replace('>=', '');
}

async function manifest(): Promise<Manifest> {
  return JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as Manifest;
}
