/** Running the command as a user does, in a folder of its own. */
import { spawn } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { constants, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeEach, vi } from 'vitest';

/** As a shell starts it, by its first line; Windows knows no such lines. */
const launcher = [
  ...(process.platform === 'win32' ? [process.execPath] : []),
  fileURLToPath(new URL('../../bin/lcm.js', import.meta.url)),
];

/** A latent consistency model of 135,000 random weights. */
export const tinyModel = fileURLToPath(new URL('../fixtures/golden/pipelines/lcm/model', import.meta.url));
/** A Stable Diffusion model of the same size, with DDIM. */
export const tinyTeacher = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/model', import.meta.url));

/** An AutoencoderTiny for both. */
export const taesd = fileURLToPath(new URL('../fixtures/golden/pipelines/sd/taesd', import.meta.url));

export interface Result {
  /** As a shell knows it: 128 and the number of the signal that ended the process. */
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunOptions {
  readonly cwd: string;
  /** Done to the process once, as soon as what it has said on both streams matches. */
  readonly once?: { readonly said: RegExp; readonly act: (child: ReturnType<typeof spawn>) => void };
  /** Given the process as soon as it is there, for what is not done when it has said something. */
  readonly begun?: (child: ReturnType<typeof spawn>) => void;
  /** Shell words put before the command, e.g. limits. */
  readonly through?: readonly string[];
}

function lcm(args: readonly string[], { cwd, once, begun, through = [] }: RunOptions): Promise<Result> {
  const [command, ...rest] = [...through, ...launcher, ...args];
  const child = spawn(command!, rest, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  begun?.(child);
  const said = { stdout: '', stderr: '' };
  let waiting = once;
  for (const stream of ['stdout', 'stderr'] as const) {
    child[stream].setEncoding('utf8').on('data', (text: string) => {
      said[stream] += text;
      if (!waiting?.said.test(said.stdout + said.stderr)) return;
      const { act } = waiting;
      waiting = undefined;
      act(child);
    });
  }
  return new Promise((resolve, reject) => {
    child.on('error', reject);
    // The launcher says so when the sources are newer than the build.
    child.on('close', (code, signal) => {
      const stderr = said.stderr.replace(/^lcm: building .*\n/, '');
      resolve({ code: signal ? 128 + constants.signals[signal] : code, stdout: said.stdout, stderr });
    });
  });
}

/** The records that --json prints, one to a line. */
export function jsonLines(stdout: string): Record<string, unknown>[] {
  return stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
}

/** A folder in which the tests of a file run the command. */
export interface Workspace {
  /** A path in it; without parts its own. */
  at(...parts: string[]): string;
  read(name: string): Uint8Array;
  run(...args: string[]): Promise<Result>;
  runWith(options: Omit<RunOptions, 'cwd'>, ...args: string[]): Promise<Result>;
}

/** To be called where a file begins. One folder for all its tests, or a new one for each. */
export function workspace({ forEachTest = false } = {}): Workspace {
  // Every command is a process, which takes its time on a busy machine.
  vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 });
  let folder: ReturnType<typeof temporaryFolder>;
  const begin = () => {
    folder = temporaryFolder();
  };
  const end = () => folder.remove();
  if (forEachTest) {
    beforeEach(begin);
    afterEach(end);
  } else {
    begin();
    afterAll(end);
  }
  const at = (...parts: string[]) => join(folder.path, ...parts);
  const runWith: Workspace['runWith'] = (options, ...args) => lcm(args, { ...options, cwd: at() });
  return {
    at,
    read: (name) => new Uint8Array(readFileSync(at(name))),
    run: (...args) => runWith({}, ...args),
    runWith,
  };
}

/** A new empty folder, and a function that removes it. */
export function temporaryFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'lcm-test-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A copy of a model that may be damaged. */
export function copyModel(folder: string, model = tinyModel): string {
  const copy = mkdtempSync(join(folder, 'model-'));
  cpSync(model, copy, { recursive: true });
  return copy;
}
