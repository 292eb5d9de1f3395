/** How long a person waits: from pressing return to the first picture on the disk, as a new process each time. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { measure, type Timing } from '../src/speed/timing.ts';
import { startCommand } from './command.ts';

/** Seconds of `lcm generate` with the embedded model and the package built. */
export async function measureFirstPicture(): Promise<Timing> {
  const folder = await mkdtemp(join(tmpdir(), 'lcm-bench-'));
  try {
    const args = ['generate', 'a red-roofed cottage on green hills at sunset'];
    return await measure(() => command([...args, '--out', join(folder, 'first.png')]), { atLeast: 5 });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function command(args: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = startCommand(args);
    child.stdout.resume();
    child.on('error', reject);
    child.on('exit', (code) =>
      code === 0 ? resolve() : reject(new Error(`lcm ${args.join(' ')} ended with ${code}`)),
    );
  });
}
