/** Where OpenVINO was looked for, what was found, and which devices it has. */
import { fileURLToPath } from 'node:url';
import type { Description, DeviceDescription } from '../../engines/openvino/engine.ts';
import { findOpenVino, notFound } from '../../engines/openvino/installation.ts';
import { InputError } from '../../errors.ts';
import { askChild, type ChildOptions } from './child.ts';

/** What the process that loads the library says. */
export type OpenVinoReply = Description | { readonly failure: string };

export interface OpenVinoReport {
  /** The library; undefined where there is none. */
  readonly path?: string;
  /** How it came to be there. */
  readonly origin?: string;
  readonly version?: string;
  readonly devices: readonly DeviceDescription[];
  /** Why there is none: where it was looked for and how to get it, or why it does not load. */
  readonly reason?: string;
}

/** Asks a process of its own. Rejects only when `signal` ends the wait. */
export async function openVino(options: ChildOptions): Promise<OpenVinoReport> {
  let found: ReturnType<typeof findOpenVino>;
  try {
    found = findOpenVino();
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    return { devices: [], reason: error.message };
  }
  const { path, origin } = found;
  if (path === undefined || origin === undefined) return { devices: [], reason: notFound };
  const child = fileURLToPath(new URL('./openvino-child.js', import.meta.url));
  try {
    const reply = (await askChild(child, [path], options)) as OpenVinoReply;
    if ('failure' in reply) return { path, origin, devices: [], reason: reply.failure };
    const { version, devices } = reply;
    return { path, origin, version, devices };
  } catch (error) {
    options.signal?.throwIfAborted();
    return { path, origin, devices: [], reason: (error as Error).message };
  }
}

/** For people, a line each. */
export function openVinoLines({ path, origin, version, devices, reason }: OpenVinoReport): string[] {
  if (path === undefined) return [reason!];
  if (version === undefined) return [`${path} (${origin}) does not load: ${reason}`];
  // `2026.4.1-22982-e213a147257-releases/2026/4`
  const [number] = version.split('-');
  return [
    `${number}, ${path} (${origin})`,
    ...devices.map(({ name, fullName, precisions }) => `${name}: ${fullName}, ${precisions.join(', ')}`),
  ];
}
