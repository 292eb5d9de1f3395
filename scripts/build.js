/** Building dist/ anew, as a whole: for the command in a working copy, and for the package. */
import { spawnSync } from 'node:child_process';
import { existsSync, renameSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/**
 * Builds beside dist/ and renames, so that a command that is running never meets half a build. `further` are options of
 * the compiler. Ends the process where the build fails.
 */
export function build(...further) {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) {
    console.error(`lcm: the TypeScript compiler is not installed; run "npm ci" in ${root} first`);
    process.exit(1);
  }
  const [built, old] = [join(root, `.dist-${process.pid}`), join(root, `.dist-${process.pid}-old`)];
  const options = ['-p', join(root, 'tsconfig.build.json'), '--noEmitOnError', '--outDir', built, ...further];
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
