/** How long a person waits: from pressing return to the first picture on the disk, as a new process each time. */
import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { measure, type Timing } from '../src/speed/timing.ts';

/** The command, as it is built. */
export const LAUNCHER = fileURLToPath(new URL('../../bin/lcm.js', import.meta.url));

/** Seconds of `lcm generate` with the embedded model and the package built. */
export async function measureFirstPicture(): Promise<Timing> {
  const folder = await mkdtemp(join(tmpdir(), 'lcm-bench-'));
  try {
    const args = [LAUNCHER, 'generate', 'a red-roofed cottage on green hills at sunset'];
    return await measure(() => command([...args, '--out', join(folder, 'first.png')]), { atLeast: 5 });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function command(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`lcm ${args.slice(1).join(' ')} ended with ${code}`)),
    );
  });
}
