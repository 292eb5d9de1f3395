import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { turnTelemetryOff } from './telemetry.ts';

const root = fileURLToPath(new URL('../../..', import.meta.url));
const lcm = join(root, 'bin/lcm.js');
const model = join(root, 'tests/fixtures/golden/pipelines/lcm/model');

/** Runs Node with empty folders for temporary files, home and cache; gives what is in them afterwards. */
function leftBehind(...args: string[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'lcm-test-'));
  try {
    const places = { TMPDIR: 'tmp', HOME: 'home', XDG_CACHE_HOME: 'cache' };
    const environment: NodeJS.ProcessEnv = { ...process.env };
    delete environment.ORT_DISABLE_TELEMETRY;
    for (const [variable, name] of Object.entries(places)) {
      mkdirSync(join(folder, name));
      environment[variable] = join(folder, name);
    }
    // The command draws into `folder` itself.
    execFileSync(process.execPath, args, { env: environment, cwd: folder, stdio: 'pipe' });
    return Object.values(places).flatMap((name) =>
      readdirSync(join(folder, name), { recursive: true }).map(String),
    );
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe('telemetry', () => {
  it('leaves nothing behind when the library draws', () => {
    const program = `
      const { loadPipeline } = await import(${JSON.stringify(join(root, 'dist/index.js'))});
      const pipeline = await loadPipeline(${JSON.stringify(model)});
      await pipeline.generate({ prompt: 'a fox', seed: 1 });
      await pipeline.dispose();`;
    expect(leftBehind('--input-type=module', '--eval', program)).toEqual([]);
  });

  it('leaves nothing behind when the command draws, nor when doctor tries the engines', () => {
    expect(leftBehind(lcm, 'generate', 'a fox', '--model', model)).toEqual([]);
    expect(leftBehind(lcm, 'doctor', '--seconds', '0.1')).toEqual([]);
  });

  it('is left to whoever has set the variable', () => {
    const [unset, on, off] = [{}, { ORT_DISABLE_TELEMETRY: '0' }, { ORT_DISABLE_TELEMETRY: '' }];
    for (const environment of [unset, on, off]) turnTelemetryOff(environment);
    expect([unset, on, off]).toEqual([
      { ORT_DISABLE_TELEMETRY: '1' },
      { ORT_DISABLE_TELEMETRY: '0' },
      { ORT_DISABLE_TELEMETRY: '' },
    ]);
  });
});
