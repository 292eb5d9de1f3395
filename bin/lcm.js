#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1073741824 node
/**
 * Starts the command line. In a working copy it first builds dist/ when that is missing or older than the sources;
 * an installed package has no sources and goes straight on.
 *
 * The variables of the first line keep memory that ONNX Runtime gives back while it loads a large model in one heap, to
 * be used again: the GNU C library otherwise returns every large piece to the system and asks for it anew, and most of
 * the time of loading went into that. Other C libraries do not know the variables.
 */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Before anything may load ONNX Runtime, and for all child processes: no telemetry, unless it was asked for.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const main = join(root, 'dist/cli/main.js');
const sources = join(root, 'src');

if (existsSync(sources) && newest(sources) > builtAt()) {
  console.error('lcm: building dist/ from the sources, once …');
  const { build } = await import('../scripts/build.js');
  build();
}
const { run } = await import('../dist/cli/main.js');
await run(process.argv.slice(2));

/** When the build was finished, in milliseconds; 0 when there is none. */
function builtAt() {
  return existsSync(main) ? statSync(main).mtimeMs : 0;
}

/** The time of the latest change to a source file. Tests are not built. */
function newest(folder) {
  let time = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) time = Math.max(time, newest(path));
    else if (entry.name.endsWith('.ts') && !entry.name.endsWith('.test.ts')) {
      time = Math.max(time, statSync(path).mtimeMs);
    }
  }
  return time;
}
