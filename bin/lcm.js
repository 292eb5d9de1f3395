#!/usr/bin/env -S MALLOC_ARENA_MAX=1 MALLOC_MMAP_MAX_=0 MALLOC_TRIM_THRESHOLD_=1073741824 node
/**
 * Starts the command line. In a working copy it first builds dist/ when that is missing or older than the sources;
 * an installed package has no sources and goes straight on.
 *
 * The variables of the first line keep memory that ONNX Runtime gives back while it loads a large model in one heap, to
 * be used again: the GNU C library otherwise returns every large piece to the system and asks for it anew, and most of
 * the time of loading went into that. Other C libraries do not know the variables.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, renameSync, rmSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

// Before anything may load ONNX Runtime, and for all child processes: no telemetry, unless it was asked for.
process.env.ORT_DISABLE_TELEMETRY ??= '1';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const main = join(root, 'dist/cli/main.js');
const sources = join(root, 'src');

if (existsSync(sources) && newest(sources) > builtAt()) build();
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

/** Builds beside dist/ and renames, so that a command that is running never meets half a build. */
function build() {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) {
    console.error(`lcm: the TypeScript compiler is not installed; run "npm ci" in ${root} first`);
    process.exit(1);
  }
  console.error('lcm: building dist/ from the sources, once …');
  const [built, old] = [join(root, `.dist-${process.pid}`), join(root, `.dist-${process.pid}-old`)];
  const options = ['-p', join(root, 'tsconfig.build.json'), '--noEmitOnError', '--outDir', built];
  const result = spawnSync(process.execPath, [compiler, ...options], { encoding: 'utf8' });
  if (result.status === 0) {
    const dist = join(root, 'dist');
    if (existsSync(dist)) renameSync(dist, old);
    renameSync(built, dist);
  }
  for (const folder of [built, old]) rmSync(folder, { recursive: true, force: true });
  if (result.status !== 0) {
    console.error(`${result.stdout}${result.stderr}lcm: the build failed`);
    process.exit(1);
  }
}
